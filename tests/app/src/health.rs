//! Whether the shop can sell.

use crate::catalog;

/// Says why it cannot, if it cannot.
pub fn check() -> Result<(), String> {
    if catalog::ITEMS.is_empty() { Err("there is nothing to sell".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shop_with_items_is_healthy() {
        assert_eq!(super::check(), Ok(()));
    }
}
