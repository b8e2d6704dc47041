"""What may go wrong around the replay memory, done for real; and the counts that show that nothing was lost."""
