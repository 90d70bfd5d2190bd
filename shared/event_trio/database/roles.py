"""Database roles: one per connecting process, created by the first migration, with timeouts and passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from .connections import connect
from .session_limits import limit_role

SCRAM_ITERATIONS = 4096


def create_login_role(role: str) -> str:
    """The statement that creates a login role unless it exists: roles belong to the server, not to the database.

    It sets the limits of `session_limits.py`: a process that hangs must not stop the others.
    """
    return f"""
    DO $$ BEGIN
        CREATE ROLE {role} LOGIN;
        {limit_role(role)}
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END $$
    """


def close_to_others(*roles: str) -> tuple[str, ...]:
    """The statements that let only these roles (and the owner) connect to the database and use its schema."""
    named = ", ".join(roles)
    return (
        f"""
        DO $$ BEGIN
            EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO {named}', current_database());
        END $$
        """,
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {named}",
    )


async def set_passwords(url: str, passwords: Mapping[str, str]) -> None:
    """Set the roles' passwords. Only a SCRAM verifier is sent: statements may be written to the server's log."""
    if not passwords:
        return
    connection = await connect(url)
    try:
        async with connection.transaction():
            for role, password in passwords.items():
                statement = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)"
                await connection.execute(await connection.fetchval(statement, role, scram_verifier(password)))
    finally:
        await connection.close()


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """What Postgres stores for a password with SCRAM-SHA-256 (RFC 5803); printable ASCII needs no SASLprep."""
    if not password.isascii() or not password.isprintable():
        raise ValueError("passwords of roles are printable ASCII")
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
