"""Bearer tokens by the client-credentials grant of OAuth 2."""

import asyncio
import math
from collections.abc import Collection
from urllib.parse import quote

import aiohttp
import msgspec

from headrace.core.models import OAuth
from headrace.errors import (
    AccessRefusedError,
    ConfigError,
    InferenceError,
    InferenceUnavailableError,
)
from headrace.inference.credentials import sendable
from headrace.inference.messages import bounded, hidden, worth_hiding

_EARLY_S = 30.0
_SHARE = 0.8


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: float | None = None


class OAuthToken:
    """A token that is asked for when first needed, and again shortly before it expires.

    Calls that need a token at once share one request for it. The client is named in the
    Authorization header, which every endpoint must take; one that refuses that is given the
    client in the body from then on.

    Args:
        oauth: Where and as whom to ask.
        timeout_s: Longest a request may take.
    """

    def __init__(self, oauth: OAuth, timeout_s: float) -> None:
        self._oauth = oauth
        self._timeout_s = timeout_s
        self._where = f"oauth: {oauth.token_url}"
        self._token = ""
        self._last = ""
        self._until = -math.inf
        self._is_in_body = False
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """Return a token that is valid for a while.

        Raises:
            InferenceUnavailableError: The endpoint cannot be reached, or fails.
            AccessRefusedError: It refuses this client.
        """
        if self._is_due():
            async with self._lock:
                if self._is_due():
                    await self._fetch()
        return self._token

    def renew(self, refused: str) -> bool:
        """Ask for another at the next call, unless another call already has."""
        if self._token == refused:
            self._until = -math.inf
        return True

    @property
    def secrets(self) -> Collection[str]:
        """The client's secret, the token, and the one before it."""
        return worth_hiding([self._oauth.client_secret, self._token, self._last])

    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() >= self._until

    async def _fetch(self) -> None:
        asked_at = asyncio.get_running_loop().time()
        status, body = await self._ask()
        if status in {400, 401} and not self._is_in_body:
            self._is_in_body = True
            status, body = await self._ask()
            self._is_in_body = status < 400
        if not 200 <= status < 300:
            raise self._refusal(status, body)
        grant = self._grant(body)
        self._last, self._token = self._token, grant.access_token
        life = math.inf if grant.expires_in is None else grant.expires_in
        if math.isnan(life):
            life = 0.0
        self._until = asked_at + max(life - _EARLY_S, life * _SHARE)

    async def _ask(self) -> tuple[int, bytes]:
        oauth = self._oauth
        form = {
            "grant_type": "client_credentials",
            "scope": oauth.scope,
            "audience": oauth.audience,
        }
        headers = {"accept": "application/json"}
        if self._is_in_body:
            form |= {"client_id": oauth.client_id, "client_secret": oauth.client_secret}
        else:
            login = (quote(oauth.client_id, ""), quote(oauth.client_secret, ""))
            headers["authorization"] = aiohttp.encode_basic_auth(*login)
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s)
                ) as session,
                session.post(
                    oauth.token_url,
                    data={name: value for name, value in form.items() if value},
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                return response.status, await response.read()
        except TimeoutError:
            text = f"{self._where}: no answer within {self._timeout_s:g} s"
            raise InferenceUnavailableError(text) from None
        except (aiohttp.ClientError, OSError) as error:
            text = hidden(f"{self._where}: {error}", self.secrets)
            raise InferenceUnavailableError(bounded(text)) from error

    def _refusal(self, status: int, body: bytes) -> InferenceError:
        said = hidden(body.decode(errors="replace").strip(), self.secrets)
        text = bounded(f"{self._where}: {said or 'no token'} (HTTP {status})")
        is_passing = status == 429 or status >= 500
        return InferenceUnavailableError(text) if is_passing else AccessRefusedError(text)

    def _grant(self, body: bytes) -> _Grant:
        """Read an answer; it is never shown, for it may hold a token.

        Raises:
            AccessRefusedError: It holds no token that can be sent.
        """
        try:
            grant = msgspec.json.decode(body, type=_Grant, strict=False)
            sendable(grant.access_token, "access_token")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigError):
            raise AccessRefusedError(f"{self._where}: the answer holds no access_token") from None
        return grant
