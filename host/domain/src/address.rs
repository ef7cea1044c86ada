//! Addresses of the internet: which are everybody's, and which belong to somebody's own network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no range of addresses: write `10.0.0.0/8`, `fd00::/8`, or one address", .0.escape_debug())]
pub struct InvalidRange(pub String);

impl Range {
    /// Reads `10.0.0.0/8`, or an address that stands for itself. Bits beyond the prefix are zero.
    pub fn parse(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange(crate::text::cut(text, 64));
        let (first, bits) = text.split_once('/').map_or((text, None), |(first, bits)| (first, Some(bits)));
        let first: IpAddr = first.parse().map_err(|_| invalid())?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| invalid())?;
        let range = Self { first, bits };
        if bits <= width && range.contains(first) && masked(first, bits) == masked(first, width) {
            Ok(range)
        } else {
            Err(invalid())
        }
    }

    /// Whether an address lies in it. One of IPv4 in the form of IPv6 counts as one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == masked(self.first, self.bits)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// An address as a number with only its first bits.
fn masked(address: IpAddr, bits: u8) -> u128 {
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let rest = u32::from(width - bits.min(width));
    number.checked_shr(rest).unwrap_or(0).checked_shl(rest).unwrap_or(0)
}

/// Whether an address is one of the public internet: not of this machine, of a private network, of
/// documentation, and of no way to reach another address by it. After the registries of special
/// addresses (RFC 6890 with its updates; `iana-ipv4-special-registry`, `iana-ipv6-special-registry`).
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

const fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // What is given out as global lies in 2000::/3; of that, some stands for other addresses or nobody.
    let is_special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    a & 0xe000 == 0x2000 && !is_special
}

/// Which addresses may be reached: the public ones, and what the operator has added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach(pub Vec<Range>);

impl Reach {
    /// Whether an address may be reached.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.0.iter().any(|range| range.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_somebodys_own_is_not_public() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2001:4860::8888",
            "2a00::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range = |text: &str| Range::parse(text).unwrap();
        assert!(range("10.0.0.0/8").contains("10.255.0.1".parse().unwrap()));
        assert!(range("10.0.0.0/8").contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!range("10.0.0.0/8").contains("11.0.0.1".parse().unwrap()));
        assert!(range("127.0.0.1").contains("127.0.0.1".parse().unwrap()));
        assert!(!range("127.0.0.1").contains("127.0.0.2".parse().unwrap()));
        assert!(range("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!range("0.0.0.0/0").contains("fd00::1".parse().unwrap()));
        assert!(range("fd00::/8").contains("fdff::1".parse().unwrap()));
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::1/129",
            "10.0.0.0/",
            "10.0.0.0/x",
            "a.test",
            "::ffff:10.0.0.0/104",
        ] {
            assert!(Range::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_was_added_is_reached_beside_the_public() {
        let reach = Reach(vec![Range::parse("10.1.0.0/16").unwrap()]);
        assert!(reach.allows("10.1.2.3".parse().unwrap()) && reach.allows("1.1.1.1".parse().unwrap()));
        assert!(!reach.allows("10.2.0.1".parse().unwrap()) && !Reach::default().allows("10.1.2.3".parse().unwrap()));
    }

    proptest! {
        /// Whatever is written is read or refused, and what is read is written as it was.
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f.:/]{0,30}") {
            if let Ok(range) = Range::parse(&text) {
                prop_assert_eq!(Range::parse(&range.to_string()), Ok(range));
            }
        }

        /// An address of IPv4 in the form of IPv6 is judged as what it is.
        #[test]
        fn the_form_of_an_address_decides_nothing(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            prop_assert_eq!(is_public(address.into()), is_public(address.to_ipv6_mapped().into()));
        }
    }
}
