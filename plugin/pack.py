#!/usr/bin/env python3
"""Packs the plugin of kubectl: an archive, its checksum, and the manifest for krew.

  pack.py BINARY PLATFORM DIRECTORY

BINARY runs on this machine: it prints its own scripts for shells. PLATFORM is krew's name for this machine,
such as linux-amd64. DIRECTORY gets the archive, the archive's checksum, and the manifest. The manifest names
every platform of this version whose archive is in DIRECTORY.

RELEASES: the URL below which the archives of each version will be published.

The same binary makes the same bytes: no entry has a time, an owner or a name of this machine.
"""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
NAME = "kubectl-cognito_password"
PLACEHOLDER = "https://releases.example.com/cognito-password-operator"

# A line of the template that stands for the URL and the checksum of an archive.
ARCHIVE = re.compile(r'{{addURIAndSha "([^"]+)" \.TagName }}')


def version():
    manifest = (CHECKOUT / "Cargo.toml").read_text()
    return "v" + re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]


def entries(binary):
    """The files of the archive: name, mode, content."""

    def script(shell):
        run = subprocess.run([binary, "completion", shell], check=True, stdout=subprocess.PIPE)
        return run.stdout

    helper = f"{NAME.replace('-', '_complete-', 1)}"
    return [
        ("LICENSE", 0o644, (CHECKOUT / "LICENSE").read_bytes()),
        ("README.md", 0o644, (CHECKOUT / "plugin/README.md").read_bytes()),
        (f"completion/_{NAME}", 0o644, script("zsh")),
        (f"completion/{NAME}.bash", 0o644, script("bash")),
        (f"completion/{NAME}.fish", 0o644, script("fish")),
        (NAME, 0o755, Path(binary).read_bytes()),
        (helper, 0o755, (CHECKOUT / "plugin" / helper).read_bytes()),
    ]


def archive(binary):
    packed = io.BytesIO()
    # Neither gzip's header nor tar's has a time.
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, mode, content in entries(binary):
                entry = tarfile.TarInfo(name)
                entry.mode, entry.size = mode, len(content)
                tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def manifest(directory, releases):
    """The template with the archives that exist."""
    template = (CHECKOUT / ".krew.yaml").read_text().replace(PLACEHOLDER, releases)
    template = "".join(it for it in template.splitlines(True) if not it.startswith("#"))
    head, *platforms = template.replace("{{ .TagName }}", version()).split("    - selector:\n")
    built = []
    for platform in platforms:
        url = ARCHIVE.search(platform)[1]
        file = directory / url.rsplit("/", 1)[1]
        if file.exists():
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            lines = f"uri: {url}\n      sha256: {digest}"
            built.append("    - selector:\n" + ARCHIVE.sub(lambda _: lines, platform))
    assert built, f".krew.yaml names no archive in {directory}"
    return head + "".join(built)


def main(binary, platform, directory):
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    name = f"{NAME}-{version()}-{platform}.tar.gz"
    packed = archive(binary)
    (directory / name).write_bytes(packed)
    # As sha256sum writes, and `sha256sum --check` reads.
    (directory / f"{name}.sha256").write_text(f"{hashlib.sha256(packed).hexdigest()}  {name}\n")
    # krew takes the plugin's name from the name of the file.
    releases = os.environ.get("RELEASES") or PLACEHOLDER
    (directory / "cognito-password.yaml").write_text(manifest(directory, releases.rstrip("/")))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
