//! What the plugin is made of: none of what only the operator needs.

use crate::support::tools::checkout;
use std::{collections::BTreeSet, process::Command};

/// The packages that are compiled into the plugin on a platform.
fn packages(target: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--locked", "--no-default-features"])
        .args(["--edges", "normal", "--prefix", "none", "--target", target])
        .current_dir(checkout())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", super::text(&tree));
    let tree = String::from_utf8(tree.stdout).expect("text");
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_plugin_has_no_aws_sdk_and_nothing_that_only_linux_has() {
    for target in [
        "x86_64-unknown-linux-gnu",
        "aarch64-apple-darwin",
        "x86_64-pc-windows-msvc",
    ] {
        let packages = packages(target);
        assert!(packages.contains("kube-client"), "{target}: {packages:?}");
        let needless = |name: &&String| {
            // aws-lc is the cryptography of TLS.
            let aws = name.starts_with("aws-") && !name.starts_with("aws-lc");
            let only_the_operators = [
                "postcard",
                "prometheus-client",
                "tikv-jemallocator",
                "tracing-subscriber",
            ];
            aws || only_the_operators.contains(&name.as_str())
        };
        let found: Vec<_> = packages.iter().filter(needless).collect();
        assert!(found.is_empty(), "{target}: {found:?}");
    }
}
