//! The example of docs/plugins-rust.md, as it stands there.

use slipway_sdk::prelude::*;

/// What to look for.
#[config]
struct Config {
    /// A word that no file may hold.
    word: String,
}

fn test(config: &Config) -> Result<(), Failure> {
    let text = std::fs::read_to_string("/work/README.md").or_fail("no-readme", "README.md cannot be read")?;
    if text.contains(&config.word) {
        return Err(Failure::new("word-found", format!("README.md holds `{}`", config.word)));
    }
    info!("README.md is clean");
    Ok(())
}

slipway_sdk::tester! {
    name: "my-lint",
    summary: "Looks for a word in the README",
    test: test,
}
