//! Whether the shop can sell.

use crate::catalog;

/// Where the shop is told which currency its prices are in.
const CURRENCY: &str = "HELLO_CURRENCY";

/// Says why it cannot, if it cannot.
pub fn check() -> Result<(), String> {
    check_with(std::env::var(CURRENCY).ok().as_deref())
}

fn check_with(currency: Option<&str>) -> Result<(), String> {
    if catalog::ITEMS.is_empty() {
        return Err("there is nothing to sell".into());
    }
    match currency {
        Some("EUR" | "USD") => Ok(()),
        Some(other) => Err(format!("`{other}` is no currency that the shop takes")),
        None => Err(format!("`{CURRENCY}` is not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::check_with;

    #[test]
    fn a_shop_with_items_and_a_currency_is_healthy() {
        assert_eq!(check_with(Some("EUR")), Ok(()));
    }

    #[test]
    fn a_shop_without_a_currency_is_not() {
        assert_eq!(check_with(None), Err("`HELLO_CURRENCY` is not set".into()));
        assert!(check_with(Some("shells")).is_err());
    }
}
