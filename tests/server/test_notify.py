"""A match on its way to people: through Apprise, over TLS, to a service that is down at first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.certificate import self_signed, serving
from tests.server.conftest import Server
from tests.server.receiver import Receiver
from tests.server.rows import Store
from tests.server.test_alerts import alert, events

URL = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"


def test_a_match_reaches_a_service_that_apprise_knows(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    certificate, key = self_signed(tmp_path, "DNS:discord.com")
    store, log = Store(tmp_path / "flow.sqlite"), tmp_path / "log.txt"
    with Receiver(status=500, tls=serving(certificate, key)) as discord:
        server = Server(store.url, log=log, environ={
            "HTTPS_PROXY": discord.url, "REQUESTS_CA_BUNDLE": str(certificate), "PHENIX_ALERT_RETRY_BASE_MS": "10",
        })  # fmt: skip
        try:
            wake = alert(server, "size = 7", targets=[{"type": "apprise", "url": URL}])
            store.add(1, size=7, symbol="SPY")
            discord.until(1)
            discord.status = 204
            ((delivery,),) = [event["deliveries"] for event in events(server, wake)]
        finally:
            server.end()
            store.close()
    assert (delivery["state"], delivery["attempts"]) == ("delivered", len(discord.sent))
    assert len(discord.sent) > 1
    assert set(discord.hosts) == {"discord.com:443"}
    (path,) = {sent.path for sent in discord.sent}
    assert path == URL.replace("discord://", "/api/webhooks/")
    assert discord.sent[-1].json["content"].startswith("Wake\r\nSPY 2026-09-20 666 PUT: 7 at 5.2 = ")
    assert "JHMHI8qBe7bk2ZwO5U711o3dV_js" not in log.read_text()
