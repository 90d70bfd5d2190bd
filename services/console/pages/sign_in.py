"""Signing in and out with the tokens of the services' APIs, and the preferences of a browser."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from event_trio.http.rate_limit import TooManyRequests
from event_trio.http.tokens import KeysUnavailable, Principal, TokenRejected

from ..web.dependencies import FrameDep, OpenPage, ReaderPage
from ..web.errors import PageError
from ..web.forms import Form, ensure_csrf_token, read_form
from ..web.frame import LANGUAGE_COOKIE, ROLES, THEME_COOKIE, THEMES, Frame
from ..web.languages import NAMES
from ..web.page import local_path

log = structlog.get_logger(__name__)
router = APIRouter(include_in_schema=False)

LONGEST_TOKEN = 16_384
Next = Annotated[str, Query(max_length=2048)]


@router.get("/sign-in")
async def show_sign_in(page: OpenPage, next: Next = "/") -> Response:
    """The form for a token; the overview where nobody needs one."""
    if page.is_local:
        return RedirectResponse("/", 303)
    return page.render("sign_in.html", next=local_path(next), problem=None)


@router.post("/sign-in")
async def sign_in(request: Request, page: OpenPage, frame: FrameDep) -> Response:
    """Verify the token as the services do, and begin a session."""
    form = await read_form(request)
    back = local_path(form.text("next"))
    try:
        frame.sign_ins.take(request.client.host if request.client else "")
        principal = await _verified(frame, form)
    except TooManyRequests as error:
        raise PageError("too_many", 429, headers={"Retry-After": str(error.retry_after)}) from None
    except TokenRejected as error:
        log.info("token rejected", action="console.sign_in_rejected", error=str(error))
        return page.render("sign_in.html", status=401, next=back, problem="rejected")
    except KeysUnavailable:
        raise PageError("keys_unavailable", 503, headers={"Retry-After": "5"}) from None
    if not principal.has(*ROLES):
        return page.render("sign_in.html", status=403, next=back, problem="role")
    frame.sessions.end(request.cookies.get(frame.session_cookie))
    name, _ = frame.sessions.begin(_token(form))
    log.info("signed in", action="console.signed_in", person=principal.subject)
    response = RedirectResponse(back, 303)
    page.set_cookie(response, frame.session_cookie, name, seconds=None)
    return response


@router.post("/sign-out")
async def sign_out(request: Request, page: ReaderPage, frame: FrameDep) -> Response:
    """End the session at once, in this process and in the browser."""
    ensure_csrf_token(await read_form(request), page.session)
    frame.sessions.end(request.cookies.get(frame.session_cookie))
    frame.reads.forget(page.session.token or "")
    log.info("signed out", action="console.signed_out", person=page.person)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(frame.session_cookie, path="/", secure=frame.cookies_are_secure, httponly=True)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.get("/preferences")
async def set_preferences(page: OpenPage, language: str = "", theme: str = "", next: Next = "/") -> Response:
    """Keep a language or a theme in the browser; nothing else is changed, so that a link does it."""
    response = RedirectResponse(local_path(next), 303)
    if language in NAMES:
        page.set_cookie(response, LANGUAGE_COOKIE, language)
    if theme in THEMES:
        page.set_cookie(response, THEME_COOKIE, theme)
    elif theme == "system":
        response.delete_cookie(THEME_COOKIE, path="/")
    return response


async def _verified(frame: Frame, form: Form) -> Principal:
    return await frame.authenticator.authenticate(_token(form) or None)


def _token(form: Form) -> str:
    """The token; what people copy often has the name of the scheme before it."""
    return form.text("token", most=LONGEST_TOKEN).removeprefix("Bearer ").strip()
