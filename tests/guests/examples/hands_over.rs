//! Reads in each phase what the phases before have left, and fails in `apply`.

use guests::expect;
use slipway_sdk::prelude::*;

fn plan() -> Result<(), Failure> {
    expect("nothing before", run::input(&run::stage(), "plan")?.is_none())?;
    run::set_output("plan", "1")?;
    expect("its own, at once", run::input(&run::stage(), "plan")?.as_deref() == Some("1"))
}

fn apply() -> Result<(), Failure> {
    expect("what `plan` set", run::input(&run::stage(), "plan")?.as_deref() == Some("1"))?;
    expect("no other stages", run::inputs().is_empty())?;
    run::set_output("apply", "2")?;
    artifacts::put("note.txt", "text/plain", b"take this back")?;
    expect("its own artifact, at once", artifacts::inputs(&run::stage())?.len() == 1)?;
    Err(Failure::new("as-told", "`apply` fails, so that `rollback` is called"))
}

fn rollback() -> Result<(), Failure> {
    let own = run::stage();
    expect("what `plan` set", run::input(&own, "plan")?.as_deref() == Some("1"))?;
    expect("what `apply` set", run::input(&own, "apply")?.as_deref() == Some("2"))?;
    let artifacts = artifacts::inputs(&own)?;
    let note = artifacts.first().or_fail("wrong-input", "there is no artifact")?;
    expect("what `apply` stored", artifacts::read_all(&note.digest)? == b"take this back")?;
    let file = std::fs::read(workspace::input(&own, "note.txt"))?;
    expect("what `apply` stored, as a file", file == b"take this back")?;
    info!("everything was handed over");
    Ok(())
}

slipway_sdk::deployer! {
    name: "hands-over",
    summary: "Hands over from phase to phase",
    plan: plan,
    apply: apply,
    rollback: rollback,
}
