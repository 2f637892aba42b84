//! One TLS stack, one crypto provider.

use std::{collections::BTreeSet, process::Command};

/// Every package that is compiled into the binary, as `name version`.
fn packages() -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree: {said}");
    let packages: BTreeSet<_> = String::from_utf8_lossy(&tree.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect();
    assert!(packages.len() > 100, "what is compiled? {packages:?}");
    packages
}

#[test]
fn there_is_one_tls_stack_with_one_crypto_provider() {
    let packages = packages();
    let of = |name: &str| -> Vec<&String> {
        let same = |package: &&String| package.split(' ').next() == Some(name);
        packages.iter().filter(same).collect()
    };
    for needed in [
        "rustls",
        "aws-lc-rs",
        "aws-lc-sys",
        "tokio-rustls",
        "hyper-rustls",
    ] {
        assert_eq!(of(needed).len(), 1, "{needed}: {:?}", of(needed));
    }
    for second in [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "mbedtls",
        "graviola",
    ] {
        assert_eq!(of(second).len(), 0, "{second} came in: {:?}", of(second));
    }
}
