"""Downloads over HTTP: from this server with ranges and validators, or by a redirect to S3."""

from __future__ import annotations

import os

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.wsgi import wrap_file

from ...protocol.errors import Gone
from ..blobs import Blobs
from .access import Access
from .http import bearer

OCTETS = "application/octet-stream"


def blueprint(access: Access, blobs: Blobs) -> Blueprint:
    """The one route that gives bytes away; docs/protocol.md, "Device"."""
    api = Blueprint("download_api", __name__)

    @api.get("/v1/blobs/<sha256>")
    def download(sha256: str) -> Response:
        access.require_readable(bearer(request), sha256)
        if request.if_none_match.contains(sha256):
            return _immutable(Response(status=304), sha256)
        link = blobs.link(sha256)
        if link is not None:
            return Response(status=307, headers={"Location": link, "Cache-Control": "no-store"})
        return _served(blobs, sha256)

    return api


def _served(blobs: Blobs, sha256: str) -> Response:
    """All bytes or the ranges asked for; raises Gone when they were removed."""
    try:
        file = blobs.open(sha256)
    except FileNotFoundError as error:
        raise Gone("these bytes are no longer here; check in again") from error
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    body = wrap_file(request.environ, file)
    answer = Response(body, mimetype=OCTETS, direct_passthrough=True)
    answer.call_on_close(file.close)
    answer.content_length = length
    _immutable(answer, sha256)
    try:
        answer.make_conditional(request.environ, accept_ranges=True, complete_length=length)
    except RequestedRangeNotSatisfiable:
        file.close()
        raise
    return answer


def _immutable(answer: Response, sha256: str) -> Response:
    answer.set_etag(sha256)
    answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return answer
