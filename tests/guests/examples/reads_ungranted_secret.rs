//! Takes hold of a secret that nobody granted it.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    let secret = secrets::open("db-password")?;
    warn!("got hold of `{}`", secret.name());
    Ok(())
}

slipway_sdk::builder! {
    name: "reads-ungranted-secret",
    summary: "Takes hold of a secret",
    capabilities: [Capability::secrets(&["db-password"], "shows that it is refused")],
    build: build,
}
