"""The operator's page: HTML that reads the operator's own JSON, behind a log-in."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as Answer

from ...protocol.errors import Unauthenticated
from .access import Access
from .login import LIFETIME_S, Login

COOKIE = "pocketfed_operator"
PAGE = "/admin"
_READABLE = ("/v1/admin/", "/v1/blobs/")
_PROTECTION = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def blueprint(login: Login, access: Access) -> Blueprint:
    """``/admin`` and what it is made of."""
    page = Blueprint(
        "page_api",
        __name__,
        url_prefix=PAGE,
        template_folder="page/templates",
        static_folder="page/static",
        static_url_path="/static",
    )

    @page.get("")
    def show() -> Response:
        return _html("page.html" if _is_in(login) else "login.html")

    @page.after_request
    def protect(answer: Response) -> Response:
        answer.headers.update(_PROTECTION)
        return answer

    _take_log_ins(page, login, access)
    _let_read(page, login)
    return page


def _take_log_ins(page: Blueprint, login: Login, access: Access) -> None:
    @page.post("/login")
    def enter() -> Answer:
        try:
            access.require_operator(request.form.get("token", "").strip())
        except Unauthenticated:
            return _html("login.html", status=401, refused=True)
        answer = redirect(PAGE, 303)
        answer.set_cookie(
            COOKIE,
            login.issue(),
            max_age=LIFETIME_S,
            secure=request.is_secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    @page.post("/logout")
    def leave() -> Answer:
        answer = redirect(PAGE, 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="Strict")
        return answer


def _let_read(page: Blueprint, login: Login) -> None:
    """Lets a session read, and only read, what the operator's token reads.

    The token is put where a client would have sent it, so nothing behind this knows of cookies.
    """

    @page.before_app_request
    def translate() -> None:
        is_reading = request.method == "GET" and request.path.startswith(_READABLE)
        if is_reading and "Authorization" not in request.headers and _is_in(login):
            request.environ["HTTP_AUTHORIZATION"] = f"Bearer {login.admin_token}"


def _is_in(login: Login) -> bool:
    return login.is_valid(request.cookies.get(COOKIE, ""))


def _html(name: str, *, status: int = 200, refused: bool = False) -> Response:
    return Response(render_template(name, refused=refused), status, mimetype="text/html")
