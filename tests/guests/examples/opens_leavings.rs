//! Opens what a tool has left in the workspace: a file and a folder open, a named pipe and a
//! socket are refused at once, in whatever way they are opened.

use std::fs::{self, File, OpenOptions};

use guests::expect;
use slipway_sdk::prelude::*;

const LEAVES: &str = "echo hello > file; mkdir folder; mkfifo pipe; ln -s pipe link";

fn build() -> Result<(), Failure> {
    tools::command("sh", "sh").args(["-c", LEAVES]).run()?;
    expect("the file", fs::read_to_string("/work/file")? == "hello\n")?;
    expect("the folder", fs::read_dir("/work/folder")?.count() == 0)?;
    for pipe in ["/work/pipe", "/work/link"] {
        let opened = [
            ("read", File::open(pipe)),
            ("written", OpenOptions::new().write(true).open(pipe)),
            ("both", OpenOptions::new().read(true).write(true).open(pipe)),
            ("made", File::create(pipe)),
        ];
        for (how, opened) in opened {
            expect(&format!("{pipe}, {how}"), opened.is_err())?;
        }
    }
    let stored = artifacts::put_file("pipe", "text/plain", "pipe");
    expect("an artifact of a pipe", stored.is_err())?;
    run::set_output("checked", "yes")
}

slipway_sdk::builder! {
    name: "opens-leavings",
    summary: "Opens what a tool has left",
    capabilities: [Capability::tools(&["sh"], "leaves all kinds of files")],
    build: build,
}
