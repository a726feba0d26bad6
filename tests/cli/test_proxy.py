"""`tailrace doctor --url` through a real nginx: one that lets a stream through, and one that holds it back."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.cli import main
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.wait import wait_until_sync

CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{open_port};
        location / {{ proxy_pass {edge}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
    server {{
        listen 127.0.0.1:{closed_port};
        location / {{ proxy_pass {edge}; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types text/event-stream; }}
    }}
}}
"""


@pytest.fixture
def proxies(redis_url: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of an edge through both servers of one nginx."""
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    through, held = free_port(), free_port()
    with Service("edge", "--redis", redis_url) as edge:
        config = tmp_path / "nginx.conf"
        config.write_text(CONFIG.format(folder=tmp_path, edge=edge.url, open_port=through, closed_port=held))
        with subprocess.Popen([nginx, "-p", str(tmp_path), "-c", str(config)], stderr=subprocess.DEVNULL) as process:
            try:
                wait_until_sync((tmp_path / "nginx.pid").exists)
                yield f"http://127.0.0.1:{through}/sse", f"http://127.0.0.1:{held}/sse"
            finally:
                process.terminate()


def test_nginx(proxies: tuple[str, str], redis_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.cli._probe._WAIT_S", 1)
    through, held = proxies
    assert main(["doctor", "--redis", redis_url, "--url", through]) == 0
    assert "events come through at once" in capsys.readouterr().out
    assert main(["doctor", "--redis", redis_url, "--url", held]) == 1
    shown = capsys.readouterr().out
    assert "something on the way holds events back" in shown
    assert "proxy_buffering off" in shown
