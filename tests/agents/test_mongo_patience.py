"""Which errors of a database are waited out."""

from __future__ import annotations

import pytest
from pymongo.errors import AutoReconnect, InvalidOperation, OperationFailure, PyMongoError

from agents.replay.mongo_patience import Patience

NO_KEY = OperationFailure("No keys found for HMAC that is valid for time", code=211)
UNAUTHORISED = OperationFailure("command insert requires authentication", code=13)


class Fails:
    """Raises an error a few times, then answers."""

    def __init__(self, error: PyMongoError, times: int) -> None:
        self.error, self.left, self.calls = error, times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "stored"


@pytest.mark.parametrize("error", [AutoReconnect("cut"), NO_KEY])
def test_a_server_that_is_not_quite_back_is_waited_for(error: PyMongoError) -> None:
    operation, patience = Fails(error, times=2), Patience(patience_s=5.0)

    assert patience(operation) == "stored"
    assert operation.calls == 3
    assert patience.waited_s > 0


@pytest.mark.parametrize("error", [UNAUTHORISED, InvalidOperation("closed by somebody else")])
def test_an_error_that_stays_is_raised_at_once(error: PyMongoError) -> None:
    operation = Fails(error, times=1)

    with pytest.raises(type(error)):
        Patience(patience_s=5.0)(operation)

    assert operation.calls == 1
