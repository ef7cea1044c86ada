//! The attribute `#[config]`, which `slipway-sdk` re-exports.
//!
//! A derive macro of serde or schemars names its own crate in what it generates, so an
//! author would have to depend on both, in versions that match the SDK's. The attribute
//! points them at the SDK's re-exports instead: an author depends on `slipway-sdk` alone.
//!
//! It only puts attributes in front of the item, so it needs no parser and costs no
//! build time.

use proc_macro::{TokenStream, TokenTree};

/// Makes a struct or enum readable from a stage's `with` table.
///
/// It derives `Deserialize` and `JsonSchema`; the doc comments become the descriptions in
/// the published schema. On a struct it also refuses unknown keys, because a key that is
/// silently ignored is a mistake that nobody sees. Attributes of serde and schemars on
/// fields work as usual.
///
/// The crate must be known as `slipway_sdk`. A type that needs something else derives
/// both traits itself and depends on serde and schemars for it.
#[proc_macro_attribute]
pub fn config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        return error("`#[config]` takes no arguments");
    }
    let Some(keyword) = item_keyword(&item) else {
        return error("`#[config]` goes on a struct or an enum");
    };
    let mut attributes = String::from(
        "#[derive(::slipway_sdk::serde::Deserialize, ::slipway_sdk::schemars::JsonSchema)]\
         #[serde(crate = \"::slipway_sdk::serde\")]\
         #[schemars(crate = \"::slipway_sdk::schemars\")]",
    );
    if keyword == "struct" {
        attributes.push_str("#[serde(deny_unknown_fields)]");
    }
    let mut output = parse(&attributes);
    output.extend(item);
    output
}

/// Returns the item's keyword when it is one that can be a configuration.
fn item_keyword(item: &TokenStream) -> Option<String> {
    item.clone().into_iter().find_map(|token| match token {
        TokenTree::Ident(word) => Some(word.to_string()).filter(|word| word == "struct" || word == "enum"),
        TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

/// Returns code that makes the compiler print `message`.
fn error(message: &str) -> TokenStream {
    parse(&format!("::core::compile_error!({message:?});"))
}

/// Reads code written above.
fn parse(code: &str) -> TokenStream {
    code.parse().expect("the code is written in this file")
}
