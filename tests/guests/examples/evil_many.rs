//! P7: a list of a million empty pairs: few bytes for the guest, many for the host.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    let fields = vec![(String::new(), String::new()); 1_000_000];
    log::write(log::Level::Info, "many", &fields);
    run::set_output("survived", "yes")
}

slipway_sdk::builder! { name: "evil-many", summary: "Hands over a million empty pairs", build: build }
