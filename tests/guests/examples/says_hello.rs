//! Uses a little of what every build stage has: two lines in the log, an output
//! `greeting`, and an artifact `greeting.txt`.

use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    info!("hello");
    info!(name = "says_hello", lines = 2; "hello again");
    run::set_output("greeting", "hello")?;
    artifacts::put("greeting.txt", "text/plain", b"hello\n")?;
    Ok(())
}

slipway_sdk::builder! { name: "says-hello", summary: "Says hello", build: build }
