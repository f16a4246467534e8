"""Reports of unexpected failures to Sentry, with nothing in them that a log may not show either."""

from django.core.exceptions import ImproperlyConfigured


def report_to(dsn: str) -> None:
    """Report to the project that a DSN names; raise ImproperlyConfigured if that cannot be."""
    try:
        import sentry_sdk
        from sentry_sdk.integrations.logging import ignore_logger
        from sentry_sdk.types import Event, Hint
        from sentry_sdk.utils import BadDsn
    except ModuleNotFoundError:
        message = "SENTRY_DSN is set, but sentry-sdk is not installed: uv sync --extra sentry"
        raise ImproperlyConfigured(message) from None

    def without_details(event: Event, _: Hint) -> Event:
        request = event.get("request", {})
        event["request"] = {name: request[name] for name in ("method", "url") if name in request}
        return event

    try:
        sentry_sdk.init(
            dsn,
            send_default_pii=False,
            max_request_body_size="never",
            include_local_variables=False,
            before_send=without_details,
        )
    except BadDsn:
        message = "SENTRY_DSN must be a DSN such as https://<key>@<host>/<project>"
        raise ImproperlyConfigured(message) from None
    # What a caller did wrong is no failure.
    ignore_logger("django.security.*")
