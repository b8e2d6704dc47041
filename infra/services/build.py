"""Settings -> services."""

from __future__ import annotations

from infra.services.contract import Service
from infra.services.mongod import Mongod
from infra.services.s3 import S3Server
from infra.settings import MONGOD, S3, Settings


def build_services(settings: Settings) -> list[Service]:
    """The services that this machine runs for itself. Raises: SettingsError."""
    makers = {MONGOD: build_mongod, S3: build_s3}
    return [makers[name](settings) for name in settings.local]


def build_mongod(settings: Settings) -> Service:
    """Raises: SettingsError."""
    port, user, password = settings.mongod_address()
    return Mongod(
        port=port,
        user=user,
        password=password,
        folder=settings.folder / "mongod",
        key_file=settings.folder / "mongod.key",
        log=settings.folder / "logs" / "mongod.log",
        cache_gb=settings.mongod_cache_gb,
    )


def build_s3(settings: Settings) -> Service:
    """Raises: SettingsError."""
    bucket, key, secret, region = settings.s3_credentials()
    return S3Server(
        port=settings.s3_port(),
        bucket=bucket,
        access_key_id=key,
        secret_access_key=secret,
        region=region,
        folder=settings.folder / "s3",
        log=settings.folder / "logs" / "s3.log",
    )
