//! Tells the binary which commit and target it is built from.

use std::process::Command;

fn main() {
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=NOWAIT_COMMIT={commit}");
    println!("cargo:rustc-env=NOWAIT_TARGET={target}");
    println!("cargo:rerun-if-changed=.git/HEAD");
}
