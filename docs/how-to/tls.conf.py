import ssl

certfile = "/etc/letsencrypt/live/example.org/fullchain.pem"
keyfile = "/etc/letsencrypt/live/example.org/privkey.pem"


def ssl_context(config, default_ssl_context_factory):
    """TLS 1.3 only; all else as the settings say."""
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
