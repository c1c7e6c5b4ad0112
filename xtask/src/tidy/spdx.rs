//! Whether an SPDX licence expression can be met by licences that we accept.
//!
//! The grammar is the one of manifests: identifiers, `AND`, `OR`, `WITH exception`, parentheses, and the old `/` for
//! `OR`. `AND` binds more tightly.

/// True if accepting only what `accepts` says satisfies the whole expression. An expression that does not parse is
/// not satisfied.
pub(super) fn satisfied(expression: &str, accepts: impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_whitespace().peekable(), accepts: &accepts };
    parser.either() == Some(true) && parser.words.next().is_none()
}

struct Parser<'a, I: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<I>,
    accepts: &'a dyn Fn(&str) -> bool,
}

impl<'a, I: Iterator<Item = &'a str>> Parser<'a, I> {
    fn either(&mut self) -> Option<bool> {
        let mut met = self.both()?;
        while self.words.next_if_eq(&"OR").is_some() {
            met |= self.both()?;
        }
        Some(met)
    }

    fn both(&mut self) -> Option<bool> {
        let mut met = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            met &= self.one()?;
        }
        Some(met)
    }

    fn one(&mut self) -> Option<bool> {
        let word = self.words.next()?;
        if word == "(" {
            let met = self.either()?;
            return self.words.next_if_eq(&")").map(|_| met);
        }
        if matches!(word, ")" | "AND" | "OR" | "WITH") {
            return None;
        }
        if self.words.next_if_eq(&"WITH").is_some() {
            let exception = self.words.next()?;
            // An exception only adds permissions.
            return Some((self.accepts)(word) || (self.accepts)(&format!("{word} WITH {exception}")));
        }
        Some((self.accepts)(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(expression: &str) -> bool {
        satisfied(expression, |name| matches!(name, "MIT" | "ISC" | "Apache-2.0"))
    }

    #[test]
    fn expressions_follow_their_operators() {
        for good in
            ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "ISC AND (GPL-2.0 OR MIT)", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(met(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(GPL-2.0 OR GPL-3.0) AND MIT", "ISC AND GPL-2.0 OR BSD"] {
            assert!(!met(bad), "{bad}");
        }
    }

    #[test]
    fn what_does_not_parse_is_not_met() {
        for broken in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "OR MIT", "UNLICENSED"] {
            assert!(!met(broken), "{broken}");
        }
    }
}
