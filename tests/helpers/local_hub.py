"""A Hugging Face hub on this machine: the few addresses that an up- and a download ask for."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

COMMIT = '0' * 40


class _Hub(BaseHTTPRequestHandler):
    """Serves the folders ``OWNER/NAME`` below :attr:`folder`, and takes new ones."""

    folder: Path

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if self.path == '/api/repos/create':
            asked = json.loads(content)
            name = '/'.join(x for x in (asked.get('organization', 'me'), asked['name']) if x)
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            (self.folder / f'{name}.json').write_bytes(content)  # the wishes, for a test to see
            self._send(dict(url=f'{self._address()}/{name}', name=name))
        elif '/preupload/' in self.path:
            files = [
                dict(path=x['path'], uploadMode='regular', shouldIgnore=False)
                for x in json.loads(content)['files']
            ]
            self._send(dict(files=files))
        elif '/commit/' in self.path:
            repo = self.path.removeprefix('/api/models/').partition('/commit/')[0]
            for line in map(json.loads, content.splitlines()):
                if line['key'] == 'file':
                    file = line['value']
                    data = base64.b64decode(file['content'])
                    (self.folder / repo / file['path']).write_bytes(data)
            url = f'{self._address()}/{repo}/commit/{COMMIT}'
            self._send(dict(success=True, commitUrl=url, commitOid=COMMIT))
        elif self.path == '/api/validate-yaml':
            self._send(dict(errors=[], warnings=[]))
        else:
            self.send_error(404)

    def _address(self) -> str:
        host, port = self.server.server_address[:2]
        return f'http://{host!s}:{port}'

    def _answer(self, *, head: bool) -> None:
        path = self.path.partition('?')[0]
        if path.startswith('/api/models/'):
            repo = '/'.join(path.split('/')[3:5])
            folder = self.folder / repo
            if folder.is_dir():
                self._send(_describe(repo, folder, tree='/tree/' in path), head=head)
                return
        elif '/resolve/' in path:
            repo, _, file = path.strip('/').partition('/resolve/')
            found = self.folder / repo / Path(file).name
            if found.is_file():
                self._send(found.read_bytes(), head=head, etag=found.name)
                return
        self.send_error(404)

    def _send(self, content: Any, *, head: bool = False, etag: str = 'x') -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('X-Repo-Commit', COMMIT)
        self.send_header('ETag', f'"{etag}"')
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def _describe(repo: str, folder: Path, *, tree: bool) -> Any:
    files = sorted(folder.iterdir())
    if tree:
        return [
            dict(type='file', path=path.name, size=path.stat().st_size, oid=path.name)
            for path in files
        ]
    return dict(id=repo, sha=COMMIT, siblings=[dict(rfilename=path.name) for path in files])


@contextmanager
def serve_hub(folder: Path) -> Iterator[None]:
    """For as long as the context lasts, ``hf://OWNER/NAME`` is the folder of that name."""
    import huggingface_hub.constants as constants

    server = HTTPServer(('127.0.0.1', 0), type('Hub', (_Hub,), dict(folder=folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    address = f'http://127.0.0.1:{server.server_port}'
    template = address + '/{repo_id}/resolve/{revision}/{filename}'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, 'ENDPOINT', address)
        patch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
        patch.setattr(constants, 'HF_HUB_CACHE', str(folder / 'cache'))
        patch.setattr(constants, 'HF_HUB_DISABLE_XET', True)
        patch.setenv('HF_TOKEN', 'hf_none')
        yield
    server.shutdown()
    server.server_close()
