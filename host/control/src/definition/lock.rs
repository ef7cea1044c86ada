//! `slipway.lock`: the pins of a pipeline as a file that people review.

use super::reader::{At, Reader, read_document};
use slipway_domain::Digest;
use slipway_domain::check::{Place, Problem};
use slipway_domain::definition::Uses;
use slipway_domain::pin::{Pin, Pins};
use slipway_domain::plugin::Kind;
use toml_edit::{Array, DocumentMut, Item, Table, value};

/// The name of the file, beside the pipeline file.
pub const LOCK_FILE: &str = "slipway.lock";

const HEAD: &str = "# What the plugins of slipway.toml are. `slipway plugin update` writes this file; commit it.\n\n";

/// Reads a lock file. What is wrong with it is told in one problem, since it is not written by hand.
pub fn read_lock(text: &str) -> Result<Pins, Problem> {
    let (_, read) = read_document(text, |reader, at| Some(reader.pins(at)));
    read.map_err(|mut wrong| {
        let told = (!wrong.is_empty()).then(|| wrong.remove(0));
        let message = told.map_or_else(
            || format!("`{LOCK_FILE}` cannot be read"),
            |first| format!("`{LOCK_FILE}` cannot be read: line {}: {}", first.line, first.message),
        );
        let hint = Some("take the file as it was last committed, or `slipway plugin update` writes it anew".to_owned());
        Problem { code: "invalid-lock", place: Place::of(&["name"]), message, hint }
    })
}

/// The lock file of these pins: the same for the same pins, and one line for each thing that can change.
pub fn write_lock(pins: &Pins) -> String {
    let mut document = DocumentMut::new();
    let mut plugins = Table::new();
    plugins.set_implicit(true);
    for (uses, pin) in pins {
        let mut table = Table::new();
        table.insert("name", value(&pin.name));
        table.insert("version", value(&pin.version));
        table.insert("world", value(pin.kind.world()));
        table.insert("digest", value(pin.digest.as_str()));
        table.insert("size", value(i64::try_from(pin.size).unwrap_or(i64::MAX)));
        let mut capabilities: Array = pin.capabilities.iter().collect();
        for line in capabilities.iter_mut() {
            line.decor_mut().set_prefix("\n    ");
        }
        capabilities.set_trailing(if pin.capabilities.is_empty() { "" } else { "\n" });
        capabilities.set_trailing_comma(!pin.capabilities.is_empty());
        table.insert("capabilities", value(capabilities));
        plugins.insert(&uses.to_string(), Item::Table(table));
    }
    document.insert("plugins", Item::Table(plugins));
    format!("{HEAD}{document}")
}

impl Reader<'_> {
    fn pins(&mut self, at: &At<'_>) -> Pins {
        self.known(at, &["plugins"]);
        let Some(table) = self.table(at, "plugins") else { return Pins::new() };
        let entries: Vec<&str> = table.table.iter().map(|(key, _)| key).collect();
        let mut pins = Pins::new();
        for key in entries {
            if let Some((uses, pin)) = self.pin(&table, key) {
                pins.insert(uses, pin);
            }
        }
        pins
    }

    fn pin(&mut self, plugins: &At<'_>, key: &str) -> Option<(Uses, Pin)> {
        let at = self.table(plugins, key)?;
        self.known(&at, &["name", "version", "world", "digest", "size", "capabilities"]);
        let uses =
            Uses::parse(key).map_err(|error| self.problem("invalid-uses", at.place.clone(), error.to_string(), None));
        let name = self.required(&at, "name", "name = \"cargo\"");
        let version = self.required(&at, "version", "version = \"1.0.0\"");
        let world = self.required(&at, "world", "world = \"builder\"");
        let kind = world.and_then(|world| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.world() == world);
            if kind.is_none() {
                let message = format!("there is no world `{}`", world.escape_debug());
                self.problem("unknown-world", at.key("world"), message, None);
            }
            kind
        });
        let digest = self.required(&at, "digest", "digest = \"sha256:…\"");
        let digest = digest.and_then(|text| self.name(&at, "digest", text, Digest::new));
        let size = self.integer(&at, "size").and_then(|size| u64::try_from(size).ok());
        if size.is_none() {
            self.problem("missing-key", at.place.clone(), "`size` has to be a number of bytes".into(), None);
        }
        let capabilities = self.strings(&at, "capabilities").into_iter().collect();
        Some((
            uses.ok()?,
            Pin { name: name?, version: version?, kind: kind?, digest: digest?, size: size?, capabilities },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pin() -> Pin {
        Pin {
            name: "cargo".into(),
            version: "1.0.0".into(),
            kind: Kind::Build,
            digest: Digest::new(format!("sha256:{:064}", 1)).unwrap(),
            size: 512,
            capabilities: ["asks for tools rust".to_owned(), "imports log".to_owned()].into(),
        }
    }

    #[test]
    fn the_file_reads_as_people_review_it() {
        let pins: Pins = [
            (Uses::parse("cargo@1").unwrap(), pin()),
            (Uses::parse("./ci/lint.wasm").unwrap(), Pin { capabilities: [].into(), kind: Kind::Test, ..pin() }),
        ]
        .into();
        insta::assert_snapshot!(write_lock(&pins), @r#"
    # What the plugins of slipway.toml are. `slipway plugin update` writes this file; commit it.

    [plugins."cargo@1"]
    name = "cargo"
    version = "1.0.0"
    world = "builder"
    digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
    size = 512
    capabilities = [
        "asks for tools rust",
        "imports log",
    ]

    [plugins."./ci/lint.wasm"]
    name = "cargo"
    version = "1.0.0"
    world = "tester"
    digest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"
    size = 512
    capabilities = []
    "#);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            names in proptest::collection::btree_set("[a-z]{1,8}", 0..4),
            version in "[0-9]\\.[0-9]\\.[0-9a-z\"\\\\]{1,4}",
            size in 0..=i64::MAX.unsigned_abs(),
            capabilities in proptest::collection::btree_set("[ -~äß]{0,30}", 0..5),
        ) {
            let pin = Pin { version, size, capabilities, ..pin() };
            let pins: Pins = names.iter().map(|name| (Uses::parse(&format!("{name}@1")).unwrap(), pin.clone())).collect();
            prop_assert_eq!(read_lock(&write_lock(&pins)), Ok(pins));
        }
    }

    #[test]
    fn each_mistake_is_told_with_its_line() {
        let whole = write_lock(&[(Uses::parse("cargo@1").unwrap(), pin())].into());
        assert!(read_lock(&whole).is_ok());
        for (from, to, told) in [
            ("builder", "root", "line 6: there is no world `root`"),
            ("sha256:", "md5:", "line 7: "),
            ("size = 512", "size = -1", "`size` has to be a number of bytes"),
            ("size = 512\n", "", "`size` has to be a number of bytes"),
            ("cargo@1", "cargo", "line 3: `cargo` is neither"),
            ("name = ", "nme = ", "`name` is missing"),
            ("[plugins", "[plugin", "there is no key `plugin`"),
            ("= [", "= ", "line 9"),
        ] {
            let text = whole.replacen(from, to, 1);
            assert_ne!(text, whole);
            let problem = read_lock(&text).unwrap_err();
            assert!(problem.message.contains(told), "{text}: {}", problem.message);
        }
    }
}
