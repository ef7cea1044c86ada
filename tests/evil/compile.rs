//! Components that a compiler chokes on; and what was compiled is not trusted because it lies on the disk.

use crate::support::slipway;
use slipway_engine::{Compiler, TickingEngine, Unfit};
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// A component around a core module.
fn around(module: &str) -> Vec<u8> {
    ::wat::parse_str(format!("(component (core module {module}))")).unwrap()
}

/// A number as WebAssembly writes it (LEB128).
fn leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn repeated(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        text += &one(number);
        text
    })
}

/// What is built, and what is expected of it: compiled within the time, or refused.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let functions =
        repeated(100_000, |n| format!("(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {n})))"));
    let labels = "0 ".repeat(1_000_000);
    let locals = "i64 ".repeat(49_000);
    let deep = 50_000;
    let nested = format!("(func {} {})", "(block ".repeat(deep), ")".repeat(deep));
    let data = repeated(40_000, |n| format!("(data (i32.const {n}) \"x\")"));
    let large = |count: usize| {
        // Arithmetic that depends on all before it.
        let mut body = String::new();
        for n in 0..count {
            write!(body, "(local.set {} (i64.mul (local.get {}) (local.get {})))", n % 50, (n + 7) % 50, (n + 13) % 50)
                .unwrap();
        }
        format!("(func (param {}) (result i64) {body} (local.get 0))", "i64 ".repeat(50))
    };
    let imports = repeated(100_000, |n| format!("(import \"a\" \"f{n}\" (func))"));
    let nested_components = (0..1_000).fold(::wat::parse_str("(component)").unwrap(), |inner, _| {
        let mut outer = ::wat::parse_str("(component)").unwrap();
        outer.push(4);
        leb(&mut outer, inner.len());
        outer.extend(inner);
        outer
    });
    let custom = {
        // One section of 40 MiB that means nothing, in a component that means nothing.
        let mut bytes = ::wat::parse_str("(component)").unwrap();
        let length = 40 << 20;
        bytes.push(0);
        leb(&mut bytes, length + 2);
        bytes.extend([1, b'x']);
        bytes.resize(bytes.len() + length, 0);
        bytes
    };
    let types = repeated(5_000, |n| {
        if n == 0 { "(type $t0 (list u8))".into() } else { format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1) }
    });
    vec![
        ("functions", around(&functions)),
        ("br_table", around(&format!("(func (param i32) (block (br_table {labels} (local.get 0))))"))),
        ("locals", around(&repeated(20, |_| format!("(func (local {locals}) (call 0))")))),
        ("nesting", around(&nested)),
        ("data segments", around(&format!("(memory 10) {data}"))),
        ("one large function", around(&large(400_000))),
        ("too large a function", around(&large(900_000))),
        ("imports", around(&imports)),
        ("nested components", nested_components),
        ("custom section", custom),
        ("types", ::wat::parse_str(format!("(component {types})")).unwrap()),
        ("too large", {
            let mut bytes = ::wat::parse_str("(component)").unwrap();
            bytes.resize((64 << 20) + 1, 0);
            bytes
        }),
    ]
}

/// Threat T46, plugin P32.
#[test]
fn a_component_is_compiled_within_its_time_and_memory_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let compiler = Compiler::start(Path::new(slipway().get_program()), Some(folder.path())).unwrap();
    let engine = TickingEngine::new().unwrap();
    let before = memory();
    for (name, bytes) in bombs() {
        let began = Instant::now();
        let result = compiler.compile(engine.engine(), &bytes).map(drop);
        let time = began.elapsed();
        assert!(time < Duration::from_secs(45), "{name}: {time:?}");
        match &result {
            Ok(()) if name.ends_with("large function") => panic!("{name}: it was to be too much"),
            Ok(()) | Err(Unfit::Invalid(_) | Unfit::TooMuch(_) | Unfit::TooLarge { .. } | Unfit::NotWasm) => {}
            Err(other) => panic!("{name}: {other}"),
        }
        println!(
            "{name}: {} MiB, {time:.1?}: {}",
            bytes.len() >> 20,
            result.map_or_else(|unfit| unfit.to_string(), |()| "compiled".into())
        );
    }
    // Whoever asked has not grown with it, beyond what it sent and got.
    assert!(memory() < before + (400 << 20), "{} MiB more", (memory() - before) >> 20);
    // And it goes on.
    assert!(compiler.compile(engine.engine(), &::wat::parse_str("(component)").unwrap()).is_ok());
}

/// The memory of this process, in bytes.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Threat T48.
#[test]
fn compiled_code_that_was_changed_on_disk_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let engine = TickingEngine::new().unwrap();
    let component = around("(func (result i32) (i32.const 42))");
    let compile = || {
        let compiler = Compiler::start(Path::new(slipway().get_program()), Some(folder.path())).unwrap();
        compiler.compile(engine.engine(), &component).unwrap();
    };
    let code = || {
        let files = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "code")).collect::<Vec<_>>()
    };
    compile();
    let [path] = <[_; 1]>::try_from(code()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    std::fs::write(&path, &other).unwrap();
    compile();
    assert_eq!(std::fs::read(&path).unwrap(), whole, "it was made again");
    let made = path.metadata().unwrap().modified().unwrap();
    compile();
    assert_eq!(path.metadata().unwrap().modified().unwrap(), made, "and then it is found");
}
