//! Uses the workspace as a build does, then tries to leave it.

use std::fs;
use std::io::Write as _;

use guests::expect;
use slipway_sdk::prelude::*;

fn build() -> Result<(), Failure> {
    works_inside()?;
    for path in ["/work/../etc/passwd", "/work/folder/../../etc/passwd", "/etc/passwd", "../etc/passwd"] {
        refused(path, fs::read(path).map(drop))?;
    }
    for path in ["/work/../escaped", "/escaped", "/inputs/escaped", "/inputs/build/escaped"] {
        refused(path, fs::write(path, "x"))?;
    }
    refused("/work/../escaped", fs::create_dir("/work/../escaped"))?;
    refused("/work/../escaped", fs::rename("/work/folder/file.txt", "/work/../escaped"))?;
    refused("/", fs::read_dir("/").map(drop))?;
    run::set_output("checked", "yes")
}

/// Makes, changes, lists and removes files.
fn works_inside() -> Result<(), Failure> {
    fs::create_dir_all("/work/folder/inner")?;
    fs::write("/work/folder/file.txt", "one\n")?;
    fs::OpenOptions::new().append(true).open("/work/folder/file.txt")?.write_all(b"two\n")?;
    expect("what was written", fs::read_to_string("/work/folder/inner/../file.txt")? == "one\ntwo\n")?;

    let mut names: Vec<_> =
        fs::read_dir("/work/folder")?.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
    names.sort();
    expect("what is listed", names == ["file.txt", "inner"])?;

    fs::rename("/work/folder/file.txt", "/work/folder/inner/moved.txt")?;
    artifacts::put_file("moved.txt", "text/plain", "folder/inner/moved.txt")?;
    let escape = artifacts::put_file("escaped", "text/plain", "../../etc/passwd");
    expect("an artifact from outside", escape.is_err())?;
    fs::remove_file("/work/folder/inner/moved.txt")?;
    fs::remove_dir("/work/folder/inner")?;
    fs::write("/work/folder/file.txt", "three\n")?;
    Ok(())
}

fn refused(path: &str, result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Err(Failure::new("escaped", format!("`{path}` could be reached"))),
        Err(error) => {
            info!("`{path}` was refused: {error}");
            Ok(())
        }
    }
}

slipway_sdk::builder! { name: "writes-workspace", summary: "Writes files", build: build }
