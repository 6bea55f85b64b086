"""As much of the hub as publishing and loading need, on the loopback: repositories, LFS uploads, commits, downloads."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import yaml
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response


@dataclass
class Repository:
    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    messages: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(str(len(self.commits)).encode()).hexdigest()


@dataclass
class Hub:
    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: int = 0
    fail_commits: int = 0
    """So many commits are still to be refused."""

    def app(self) -> FastAPI:
        app = FastAPI()
        app.post("/api/repos/create")(self.create)
        app.post("/api/validate-yaml")(self.validate)
        app.post("/api/models/{owner}/{name}/preupload/{revision}")(self.preupload)
        app.post("/{owner}/{name}.git/info/lfs/objects/batch")(self.batch)
        app.put("/blobs/{oid}")(self.put)
        app.post("/api/models/{owner}/{name}/commit/{revision}")(self.commit)
        app.get("/api/models/{owner}/{name}/revision/{revision}")(self.info)
        app.get("/api/models/{owner}/{name}")(self.info)
        app.get("/api/models/{owner}/{name}/tree/{revision}")(self.tree)
        app.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])(self.resolve)
        return app

    async def create(self, request: Request) -> Any:
        asked = await request.json()
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        if name in self.repositories:
            return JSONResponse({"error": "You already created this model repo", "url": f"{self.endpoint}/{name}"}, 409)
        self.repositories[name] = Repository("private" in (asked.get("visibility"), asked.get("private") and "private"))
        return {"url": f"{self.endpoint}/{name}", "name": name, "id": "1"}

    async def validate(self, request: Request) -> Any:
        """The hub's rules that matter here: known keys are of their types, and results are complete."""
        content = (await request.json())["content"]
        found = yaml.safe_load(content.split("---")[1])
        errors = []
        if found.get("license") == "other" and not found.get("license_name"):
            errors.append({"message": '"license_name" is required where "license" is "other"'})
        for result in (result for model in found.get("model-index", []) for result in model["results"]):
            if not {"task", "dataset", "metrics"} <= {*result} or not {"type", "name"} <= {*result["dataset"]}:
                errors.append({"message": '"model-index" is incomplete'})
        return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)

    async def preupload(self, request: Request) -> Any:
        files = (await request.json())["files"]
        mode = {True: "lfs", False: "regular"}
        binary = (".safetensors", ".png")
        return {
            "files": [
                {"path": f["path"], "uploadMode": mode[f["path"].endswith(binary)], "shouldIgnore": False, "oid": None}
                for f in files
            ]
        }

    async def batch(self, request: Request) -> Any:
        def one(asked: dict[str, Any]) -> dict[str, Any]:
            if asked["oid"] in self.blobs:
                return asked
            return asked | {"actions": {"upload": {"href": f"{self.endpoint}/blobs/{asked['oid']}"}}}

        objects = (await request.json())["objects"]
        return JSONResponse({"transfer": "basic", "objects": [one(asked) for asked in objects]})

    async def put(self, oid: str, request: Request) -> Any:
        content = await request.body()
        assert hashlib.sha256(content).hexdigest() == oid
        self.blobs[oid] = content
        self.uploads += 1
        return Response()

    async def commit(self, owner: str, name: str, request: Request) -> Any:
        if self.fail_commits:
            self.fail_commits -= 1
            return JSONResponse({"error": "out of order"}, 500)
        repository = self.repositories[f"{owner}/{name}"]
        files = dict(repository.commits[-1])
        for line in (await request.body()).splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                repository.messages.append(value["summary"])
            elif item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        repository.commits.append(files)
        return {"commitUrl": f"{self.endpoint}/{owner}/{name}/commit/{repository.sha}", "commitOid": repository.sha}

    def info(self, owner: str, name: str) -> Any:
        repository = self.repositories.get(f"{owner}/{name}")
        if repository is None:
            return JSONResponse({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        files = [{"rfilename": path} for path in repository.commits[-1]]
        return {"id": f"{owner}/{name}", "sha": repository.sha, "private": repository.private, "siblings": files}

    def tree(self, owner: str, name: str) -> Any:
        files = self.repositories[f"{owner}/{name}"].commits[-1]
        return [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in files.items()
        ]

    def resolve(self, owner: str, name: str, path: str) -> Any:
        repository = self.repositories.get(f"{owner}/{name}")
        if repository is None or path not in repository.commits[-1]:
            return JSONResponse({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        content = repository.commits[-1][path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": repository.sha}
        return Response(content, headers=headers, media_type="application/octet-stream")


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    config = uvicorn.Config(hub.app(), host="127.0.0.1", port=0, log_level="error")
    listening = config.bind_socket()
    hub.endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)
