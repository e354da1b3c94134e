"""nginx's configuration: the one port that sites reach, and nothing else behind it.

What stands here was tried: the notes on the network say which line is there for which accident.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from protocol.files import replace_file
from server.home import HomeConfig, ServerPaths

_MAIN = """\
{user}worker_processes 2;
worker_rlimit_nofile 8192;       # a stream takes one file towards the site and one inwards
worker_shutdown_timeout 10s;     # else old workers, with the old revocations, live on with a stream
daemon off;
pid run/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  server_tokens off;
  map "$status $uri" $odd {{ default 1; "~^200 /v1/fleet/" 0; }}  # polls would fill the log
  log_format wr '$time_iso8601 $remote_addr "$request" $status rq=$request_length tx=$bytes_sent '
    't=$request_time verify=$ssl_client_verify dn="$ssl_client_s_dn" up=$upstream_status '
    'gs=$sent_http_grpc_status';
  access_log /dev/stdout wr if=$odd;
  client_body_temp_path run/nginx-body;
  proxy_temp_path run/nginx-proxy;
  fastcgi_temp_path run/nginx-unused;
  uwsgi_temp_path run/nginx-unused;
  scgi_temp_path run/nginx-unused;
  client_header_timeout 15s;
  upstream superlink    {{ server 127.0.0.1:{superlink}; keepalive 16; }}
  upstream coordination {{ server unix:run/coord.sock; keepalive 4; }}
{server}}}
"""

_SERVER = """\
  server {{
    listen {listen} ssl http2;
    server_name _;
    ssl_certificate     ../pki/server.crt;
    ssl_certificate_key ../pki/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;            # no resumption past a revocation
    ssl_client_certificate ../pki/site-ca.crt;
    ssl_crl ../pki/site.crl;
    ssl_verify_client optional;         # each location says what it answers to those without
    ssl_verify_depth 1;

    error_page 495 = @bad_certificate;
    location @bad_certificate {{        # an empty 204 would be success to a SuperNode
      if ($http_content_type !~ "^application/grpc") {{ return 401; }}
      default_type application/grpc;
      add_header grpc-status 16 always;
      add_header grpc-message "client certificate rejected" always;
      return 204;
    }}
    location @grpc_denied {{
      default_type application/grpc;
      add_header grpc-status 7 always;
      add_header grpc-message "client certificate required" always;
      return 204;
    }}
    location @grpc_unavailable {{
      default_type application/grpc;
      add_header grpc-status 14 always;
      add_header grpc-message "coordination service unavailable" always;
      return 204;
    }}
    location / {{ return 404; }}
{fleet}{coordination}{health}  }}
"""

_FLEET = """\
    location /v1/fleet/ {{
      if ($ssl_client_verify != SUCCESS) {{ return 401; }}
      limit_except POST {{ deny all; }}
      proxy_pass https://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host 127.0.0.1:{superlink};
      proxy_ssl_verify on;
      proxy_ssl_verify_depth 1;
      proxy_ssl_trusted_certificate ../pki/loop-ca.crt;
      proxy_ssl_name localhost;         # addresses in a certificate are not looked at here
      proxy_ssl_protocols TLSv1.3;
      client_max_body_size 16m;
      client_body_buffer_size 6m;       # one chunk of a model stays in memory
      proxy_request_buffering on;       # slow uplinks do not hold SuperLink's one worker
      proxy_buffering on;
      proxy_buffers 16 64k;
      proxy_max_temp_file_size 0;       # no model on this disk
      proxy_read_timeout 60s;
      proxy_send_timeout 60s;
      proxy_connect_timeout 5s;
    }}
"""

_GRPC = """\
    location /{service}/ {{
      error_page 403 = @grpc_denied;
      error_page 502 503 504 = @grpc_unavailable;
      if ($ssl_client_verify != SUCCESS) {{ return 403; }}
      grpc_pass grpc://{upstream};
      grpc_set_header x-wr-client-dn $ssl_client_s_dn;
      grpc_set_header x-wr-client-fingerprint $ssl_client_fingerprint;
      grpc_set_header x-wr-client-serial $ssl_client_serial;
      grpc_read_timeout {patience}s;
      grpc_send_timeout 60s;
      grpc_connect_timeout 5s;
      client_body_timeout {patience}s;
      client_max_body_size {largest};
      grpc_socket_keepalive on;
    }}
"""


def configuration(config: HomeConfig, user: str = "") -> str:
    """The text of `run/nginx.conf`; nginx starts with the home as its folder.

    Args:
        config: of the home.
        user: under which the workers run; "" for whoever starts nginx.
    """
    patience = max(150, int(5 * config.heartbeat_seconds))
    inner = {"upstream": "coordination", "patience": patience}
    coordination = _GRPC.format(service="wardround.v1.Coordination", largest=0, **inner)
    health = _GRPC.format(service="grpc.health.v1.Health", largest="16k", **inner)
    server = _SERVER.format(
        listen=config.listen,
        fleet=_FLEET.format(superlink=config.superlink_port, upstream="superlink"),
        coordination=coordination,
        health=health,
    )
    return _MAIN.format(
        user=f"user {user};\n" if user else "", superlink=config.superlink_port, server=server
    )


def command() -> tuple[str, ...]:
    """What starts nginx in the home.

    Raises:
        ValueError: nginx is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ValueError("nginx is not there; accepted is Debian's package nginx")
    return (found, "-p", ".", "-c", "run/nginx.conf", "-e", "stderr")


def write_configuration(home: Path, config: HomeConfig) -> None:
    """Write `run/nginx.conf`; its folder must exist."""
    text = configuration(config, _owner(home))
    replace_file(ServerPaths(home).run / "nginx.conf", text.encode(), sync=False)


def accepted(home: Path) -> bool:
    """Whether nginx takes the configuration and the certificates that are there now."""
    found = subprocess.run(  # noqa: S603  # our own words
        [*command(), "-t", "-q"], cwd=home, capture_output=True, check=False, timeout=30
    )
    return found.returncode == 0


def _owner(home: Path) -> str:
    """Who owns the home, where root starts nginx: its workers must reach the socket in it."""
    return pwd.getpwuid(home.stat().st_uid).pw_name if os.geteuid() == 0 else ""
