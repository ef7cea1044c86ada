//! P20, P21 and P23: links, renames and many files, through WASI itself.

use slipway_sdk::prelude::*;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};

fn opens(at: &Descriptor, path: &str, open: OpenFlags, flags: DescriptorFlags) -> bool {
    at.open_at(PathFlags::SYMLINK_FOLLOW, path, open, flags).is_ok()
}

fn build() -> Result<(), Failure> {
    let folders = get_directories();
    let at = |name: &str| folders.iter().find(|(_, path)| path == name).map(|(folder, _)| folder);
    let (work, inputs) = (at("/work").or_fail("no", "no /work")?, at("/inputs").or_fail("no", "no /inputs")?);
    let read = DescriptorFlags::READ;
    let mut escaped = Vec::new();
    let mut must_fail = |what: &str, worked: bool| {
        if worked {
            escaped.push(what.to_owned());
        }
    };
    for (number, target) in
        ["/etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "../../..", "/"].iter().enumerate()
    {
        let name = format!("link{number}");
        let _made = work.symlink_at(target, &name).is_ok();
        must_fail(target, opens(work, &name, OpenFlags::empty(), read));
        must_fail(target, opens(work, &format!("{name}/etc/passwd"), OpenFlags::empty(), read));
        must_fail(target, opens(work, &format!("{name}/"), OpenFlags::DIRECTORY, read));
    }
    for path in ["..", "../", "a/../..", "/etc/passwd", "./../x", "//etc/passwd"] {
        must_fail(path, opens(work, path, OpenFlags::empty(), read));
        must_fail(path, opens(work, path, OpenFlags::CREATE, DescriptorFlags::WRITE));
    }
    must_fail("a file among the inputs", opens(inputs, "made", OpenFlags::CREATE, DescriptorFlags::WRITE));
    must_fail("a cut input", opens(inputs, "first/greeting.txt", OpenFlags::TRUNCATE, read));
    must_fail("a written input", opens(inputs, "first/greeting.txt", OpenFlags::empty(), DescriptorFlags::WRITE));
    must_fail("a linked input", inputs.link_at(PathFlags::empty(), "first/greeting.txt", work, "linked").is_ok());
    must_fail("a moved input", inputs.rename_at("first/greeting.txt", work, "moved").is_ok());
    must_fail("a removed input", inputs.unlink_file_at("first/greeting.txt").is_ok());
    let kept = inputs.open_at(PathFlags::empty(), "first/greeting.txt", OpenFlags::empty(), read).ok();
    let kept = kept.and_then(|file| file.read(100, 0).ok()).map(|(bytes, _)| bytes);
    must_fail("an input that is gone", kept.as_deref() != Some(b"hello\n"));
    run::set_output("escaped", escaped.join(", "))
}

slipway_sdk::builder! { name: "evil-links", summary: "Tries to get out by links", build: build }
