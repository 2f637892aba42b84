#!/usr/bin/env python3
"""The bill of materials: what the binary is made of, from Cargo.lock.

  bill.py write DIRECTORY [--no-default-features]
                                 writes sbom.cdx.json (CycloneDX, for people and scanners) and
                                 cargo-sbom.json (the same for cargo-auditable, to embed) there:
                                 of the operator, or of the plugin, which has no default features
  bill.py compare SBOM EMBEDDED  says what differs between an SBOM and what rust-audit-info has read
                                 out of a binary

cargo-cyclonedx and cargo-auditable both ask `cargo metadata`, which also lists what only a feature
that is switched off would need (https://github.com/rust-lang/cargo/issues/10801): a crypto library
that isn't there, for one. `cargo tree` knows better, so that its word counts.

Nothing here tells when or where it was made: the same sources make the same bytes.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def compiled(target, features):
    """Every package that is compiled for the binary, build scripts included: (name, version)."""
    lines = run(
        os.environ.get("CARGO", "cargo"), "tree", "--locked", "--edges", "normal,build",
        "--target", target, "--prefix", "none", "--format", "{p}", *features, cwd=CHECKOUT,
    ).splitlines()
    words = (line.split() for line in lines if line)
    return {(name, version.removeprefix("v")) for name, version, *_ in words}


def cyclonedx(target, features):
    """What cargo-cyclonedx says, and the directory it says it of."""
    with tempfile.TemporaryDirectory() as directory:
        # The tool writes beside Cargo.toml, so run it outside of the checkout.
        stage = Path(directory).resolve()
        for path in CHECKOUT.iterdir():
            if path.name not in (".git", "target"):
                (stage / path.name).symlink_to(path)
        run(
            os.environ["CPO_CARGO_CYCLONEDX"], "cyclonedx", "--quiet", "--format", "json",
            "--spec-version", "1.5", "--target", target, "--override-filename", "sbom",
            "--manifest-path", str(stage / "Cargo.toml"), *features,
            # Without this variable, the serial number would be random.
            env=os.environ | {"SOURCE_DATE_EPOCH": "0"},
        )  # fmt: skip
        return (stage / "sbom.json").read_text(), stage


def sbom(target, features):
    text, stage = cyclonedx(target, features)
    bill = json.loads(text.replace(f"file://{stage}#", "file:///#"))
    del bill["metadata"]["timestamp"]
    wanted = compiled(target, features)
    root = bill["metadata"]["component"]
    wanted.remove((root["name"], root["version"]))
    bill["components"] = [it for it in bill["components"] if package(it) in wanted]
    missing = wanted - {package(it) for it in bill["components"]}
    assert not missing, f"not in the SBOM: {missing}"
    kept = {it["bom-ref"] for it in bill["components"]} | {root["bom-ref"]}
    bill["dependencies"] = [it for it in bill["dependencies"] if it["ref"] in kept]
    for node in bill["dependencies"]:
        if "dependsOn" in node:
            node["dependsOn"] = [ref for ref in node["dependsOn"] if ref in kept]
    return bill


def package(component):
    return component["name"], component["version"]


def scope(component):
    """Is it linked (or a macro that helped), or was it needed by a build script only?"""
    return "build" if component.get("scope") == "excluded" else "runtime"


def to_embed(bill):
    """The same in the form that cargo itself will write one day, and cargo-auditable reads."""
    root = bill["metadata"]["component"]
    components = [root, *bill["components"]]
    index = {it["bom-ref"]: at for at, it in enumerate(components)}
    edges = {it["ref"]: it.get("dependsOn", []) for it in bill["dependencies"]}

    def edge(ref):
        kind = "build" if scope(components[index[ref]]) == "build" else "normal"
        return {"index": index[ref], "kind": kind}

    crates = [
        {
            "id": it["bom-ref"],
            "kind": [],
            "features": [],
            "dependencies": [edge(ref) for ref in edges[it["bom-ref"]]],
        }
        for it in components
    ]
    # rustc's version is read, and left out of the embedded list.
    rustc = dict.fromkeys(["version", "commit_hash", "host", "verbose_version"], "")
    return {"version": 1, "root": 0, "crates": crates, "rustc": rustc}


def write(directory, features):
    target = run("rustc", "--print", "host-tuple").strip()
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    bill = sbom(target, features)
    for name, content in [("sbom.cdx.json", bill), ("cargo-sbom.json", to_embed(bill))]:
        (directory / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def compare(bill, embedded):
    bill = json.loads(Path(bill).read_text())
    root = bill["metadata"]["component"]
    listed = {(*package(it), scope(it)) for it in [root, *bill["components"]]}
    embedded = json.loads(Path(embedded).read_text())["packages"]
    found = {(*package(it), it.get("kind", "runtime")) for it in embedded}
    for name, packages in [("SBOM", listed - found), ("binary", found - listed)]:
        for it in sorted(packages):
            print(f"error: only in the {name}: {' '.join(it)}", file=sys.stderr)
    return listed != found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", directory, *features] if features in ([], ["--no-default-features"]):
            write(directory, features)
        case ["compare", bill, embedded]:
            sys.exit(compare(bill, embedded))
        case _:
            sys.exit(__doc__)
