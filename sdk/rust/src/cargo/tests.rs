//! Lines as cargo 1.95 prints them.

use super::*;

fn stdout(text: &str) -> Line {
    Line { stream: Stream::Stdout, text: text.into() }
}

fn stderr(text: &str) -> Line {
    Line { stream: Stream::Stderr, text: text.into() }
}

fn read(lines: &[Line]) -> Build {
    let mut build = Build::new();
    for line in lines {
        build.read(line);
    }
    build
}

const COMPONENT: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///work#shop@1.0.0","manifest_path":"/work/Cargo.toml","target":{"kind":["cdylib","rlib"],"crate_types":["cdylib","rlib"],"name":"shop","src_path":"/work/src/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true},"profile":{"opt_level":"3","debuginfo":0,"debug_assertions":false,"overflow_checks":false,"test":false},"features":[],"filenames":["/work/target/wasm32-wasip2/release/shop.wasm","/work/target/wasm32-wasip2/release/libshop.rlib"],"executable":null,"fresh":false}"#;
const PROGRAM: &str = r#"{"reason":"compiler-artifact","package_id":"shop 1.0.0 (path+file:///work)","target":{"kind":["bin"],"name":"shop"},"profile":{"test":false},"filenames":["/work/target/release/shop"],"executable":"/work/target/release/shop"}"#;
const TEST: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///work#shop@1.0.0","target":{"kind":["test"],"name":"api"},"profile":{"test":true},"filenames":["/work/target/debug/deps/api-0f"],"executable":"/work/target/debug/deps/api-0f"}"#;
const DEPENDENCY: &str = r#"{"reason":"compiler-artifact","package_id":"registry+https://example.invalid/index#tool@1.0.0","target":{"kind":["bin"],"name":"tool","doctest":true},"profile":{"test":false},"filenames":["/work/target/release/tool"],"executable":"/work/target/release/tool"}"#;
const BUILD_SCRIPT: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///work#shop@1.0.0","target":{"kind":["custom-build"],"name":"build-script-build"},"profile":{"test":false},"filenames":["/work/target/release/build/shop-1/build-script-build"],"executable":null}"#;

#[test]
fn only_what_people_want_of_their_own_packages_is_a_product() {
    let lines = [COMPONENT, PROGRAM, TEST, DEPENDENCY, BUILD_SCRIPT].map(stdout);
    let build = read(&lines);
    let products: Vec<_> = build.products().iter().map(|product| (product.path.as_str(), product.test)).collect();
    assert_eq!(
        products,
        [
            ("/work/target/wasm32-wasip2/release/shop.wasm", false),
            ("/work/target/release/shop", false),
            ("/work/target/debug/deps/api-0f", true),
        ]
    );
}

#[test]
fn each_crate_counts_and_other_lines_do_not() {
    let mut build = Build::new();
    assert!(build.read(&stdout(COMPONENT)));
    assert!(build.read(&stdout(DEPENDENCY)));
    assert!(!build.read(&stdout(r#"{"reason":"build-finished","success":true}"#)));
    assert!(!build.read(&stdout("a test printed this")));
    assert!(!build.read(&stderr("   Compiling shop v1.0.0 (/work)")));
}

#[test]
fn only_own_libraries_have_doc_tests() {
    assert!(read(&[stdout(COMPONENT)]).has_doc_tests());
    assert!(!read(&[stdout(PROGRAM), stdout(DEPENDENCY)]).has_doc_tests());
}

#[test]
fn errors_are_told_with_their_place_and_those_that_sum_up_are_not() {
    let build = read(
        &[
            "warning: unused variable: `a`",
            " --> src/lib.rs:1:9",
            "error[E0308]: mismatched types",
            " --> src/price.rs:12:5",
            "  |",
            "error: expected `;`, found `}`",
            "   --> src/lib.rs:120:5",
            "   --> src/other.rs:1:1",
            "For more information about this error, try `rustc --explain E0308`.",
            "error: could not compile `shop` (lib) due to 2 previous errors; 1 warning emitted",
        ]
        .map(stderr),
    );
    let exit = Exit { code: Some(101), ..Exit::default() };
    let failure = build.check(exit, "cargo build").unwrap_err();
    assert_eq!(failure.code, "build-failed");
    assert_eq!(failure.message, "`cargo build` failed with 2 errors, the first: mismatched types at `src/price.rs:12`");
    assert_eq!(
        failure.details,
        [
            ("errors".into(), "2".into()),
            ("error".into(), "mismatched types at `src/price.rs:12`".into()),
            ("error".into(), "expected `;`, found `}` at `src/lib.rs:120`".into()),
        ]
    );
}

#[test]
fn an_error_of_cargo_itself_has_no_place() {
    let build = read(&[stderr("error: no matching package named `lost` found"), stderr("location searched: x")]);
    let exit = Exit { code: Some(101), ..Exit::default() };
    let failure = build.check(exit, "cargo build").unwrap_err();
    assert_eq!(failure.message, "`cargo build` failed: no matching package named `lost` found");
}

#[test]
fn an_end_without_an_error_is_told_as_it_is() {
    let exit = Exit { signal: Some(9), ..Exit::default() };
    let failure = Build::new().check(exit, "cargo build").unwrap_err();
    assert_eq!(failure.to_string(), "`cargo build` was ended by signal 9 (build-failed)");
    let exit = Exit { code: Some(0), ..Exit::default() };
    assert_eq!(Build::new().check(exit, "cargo build"), Ok(()));
}

#[test]
fn a_thousand_errors_are_counted_but_not_kept() {
    let lines = vec![stderr("error: no"); 1000];
    let build = read(&lines);
    assert_eq!(build.errors().len(), ERRORS_MAX);
    let exit = Exit { code: Some(101), ..Exit::default() };
    let failure = build.check(exit, "cargo build").unwrap_err();
    assert_eq!(failure.get("errors"), Some("1000"));
}

#[test]
fn a_word_is_taken_and_an_option_is_not() {
    for good in ["shop", "shop-api", "shop@1.2.0", "wasm32-wasip2", "_x", "dep/feature", "c++"] {
        check_word("package", good).unwrap();
    }
    for bad in ["", "--config=evil", "-Zx", "a b", "a,b", "a=b", "a\nb", "ä"] {
        let failure = check_word("package", bad).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.get("path")), ("invalid-config", Some("with.package")), "{bad:?}");
    }
}

#[test]
fn a_directory_of_the_revision_is_taken_and_others_are_not() {
    for good in ["", ".", "app", "crates/shop", ".ci/tools", "mit leer zeichen"] {
        check_directory("directory", good).unwrap();
    }
    for bad in ["/etc", "..", "a/../../b", "-C/etc", "a\nb"] {
        assert_eq!(check_directory("directory", bad).unwrap_err().code, "invalid-config", "{bad:?}");
    }
}
