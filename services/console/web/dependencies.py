"""The dependencies of routes: a page for a reader, a page for an operator, and a change."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from event_trio.http.reason import can_be_read

from .errors import PageError, SignInRequired, invalid
from .forms import Form, ensure_csrf_token, read_form
from .frame import Frame
from .page import Page

MOST_REASON = 500
READING = ("GET", "HEAD")


async def frame_of(request: Request) -> Frame:
    """What all pages share."""
    return cast(Frame, request.app.state.frame)


FrameDep = Annotated[Frame, Depends(frame_of)]


async def open_page(request: Request, frame: FrameDep) -> Page:
    """A page for everybody, such as that for signing in."""
    return Page(frame, request)


async def reader_page(request: Request, frame: FrameDep) -> Page:
    """A page for everybody who signed in. In local mode a session begins by itself, for its CSRF token."""
    session, new = frame.sessions.find(request.cookies.get(frame.session_cookie)), None
    if session is None:
        if not frame.is_local:
            raise SignInRequired
        if request.method not in READING:
            # The form belongs to a session that has ended.
            raise PageError("expired_form", 403)
        new, session = frame.sessions.begin(None)
    try:
        principal = await frame.principal(session)
    except SignInRequired:
        frame.sessions.end(request.cookies.get(frame.session_cookie))
        raise
    return Page(frame, request, session=session, principal=principal, new_session=new)


OpenPage = Annotated[Page, Depends(open_page)]
ReaderPage = Annotated[Page, Depends(reader_page)]


async def operator_page(page: ReaderPage) -> Page:
    """A page for operators."""
    if not page.is_operator:
        raise PageError("operators_only", 403)
    return page


OperatorPage = Annotated[Page, Depends(operator_page)]


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an operator confirmed: its page, and the fields of the form."""

    page: Page
    form: Form

    @property
    def reason(self) -> str:
        """Why; it is recorded in the audit. Raises PageError without one that can be read."""
        found = " ".join(self.form.text("reason", most=MOST_REASON).split())
        if not can_be_read(found):
            raise PageError("no_reason", 400)
        if any(unicodedata.category(each) == "Cc" for each in found):
            raise invalid()
        return found


async def change(request: Request, page: OperatorPage) -> Change:
    """The confirmed form of an operator. Raises PageError for a form that was not rendered for the session."""
    form = await read_form(request)
    ensure_csrf_token(form, page.session)
    return Change(page, form)


ChangeDep = Annotated[Change, Depends(change)]
