//! Tokens from a fuzzer's hand, forged and signed: see [`crate::fuzzing`].

use std::sync::LazyLock;

use jsonwebtoken::crypto;
use serde_json::Value as Tree;

use super::*;
use crate::audience::registration::Names;
use crate::audience::verdict::Verdict;
use crate::fuzzing::{check_line, check_registration, rules};

/// The one before is what tokens are signed with here.
const SECRETS: [&[u8]; 2] = [
    b"the new secret of thirty-two or so",
    b"the one before, still good for all",
];

/// Lines: a header, claims, what a client asks for, and a message.
pub(crate) fn tokens(text: &str) {
    static TOKENS: LazyLock<[Arc<Tokens>; 2]> = LazyLock::new(|| {
        rules().map(|rule| {
            let keys = SECRETS.map(DecodingKey::from_secret).to_vec();
            let rule = rule.clone();
            Arc::new(Tokens { keys, rule })
        })
    });
    hs256::install();
    let mut lines = text.splitn(4, '\n');
    let [header, claims, asked, document] =
        std::array::from_fn(|_| lines.next().unwrap_or_default());
    let signed = signed(header, claims);
    for tokens in &*TOKENS {
        check_forged(tokens, text, &signed);
        match tokens.check(&signed) {
            Ok(grant) => {
                check_claims(header, claims);
                check_grant(&grant, asked, document);
            }
            Err(error) => check_error(&error),
        }
    }
}

fn signed(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRETS[1]);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.expect("a signature"))
}

/// Whatever nobody signed grants nothing.
fn check_forged(tokens: &Arc<Tokens>, text: &str, signed: &str) {
    let (message, signature) = signed.rsplit_once('.').expect("a signature");
    let changed = match signature.starts_with('A') {
        true => signature.replacen('A', "B", 1),
        false => format!("A{}", &signature[1..]),
    };
    for forged in [
        text,
        message,
        &format!("{message}."),
        &format!("{message}.{changed}"),
        &format!("{message}.{}", &signature[..signature.len() - 1]),
        &format!("{signed}."),
        &format!("{}.{signature}", &message[..message.len() - 1]),
    ] {
        let error = tokens.check(forged).expect_err("nobody signed it");
        check_error(&error);
    }
}

fn check_error(error: &TokenError) {
    let sentence = error.sentence();
    check_line(&sentence);
    assert!(
        sentence.ends_with('.') && sentence.len() < 1000,
        "{sentence}"
    );
}

/// It is a JWT, and its time has not passed.
fn check_claims(header: &str, claims: &str) {
    // The tree has no half of a surrogate pair, and no number that no double holds.
    if let Ok(header) = serde_json::from_str::<Tree>(header) {
        assert_eq!(header["alg"], "HS256");
        assert!(header.get("crit").is_none());
    }
    if let Ok(claims) = serde_json::from_str::<Tree>(claims) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock that is right").as_secs();
        assert!(claims["exp"].as_u64().is_some_and(|end| end >= now));
        assert!(
            claims["nbf"]
                .as_f64()
                .is_none_or(|start| start <= now as f64 + 1.0)
        );
        assert!(claims["reg"].is_object());
    }
}

/// Whatever a client asks for, it hears nothing that it may not.
fn check_grant(grant: &Grant, asked: &str, document: &str) {
    let rule = &grant.tokens.rule;
    check_registration(&grant.may, rule);
    let asked = Registration::from_frame(asked, rule, &Names::default());
    let asked = asked.ok().flatten().unwrap_or_default();
    match grant.admit(asked.clone()) {
        Ok(admitted) => {
            check_registration(&admitted.registration, rule);
            assert_eq!(*admitted.asked(), asked);
            if crate::message::is_json(document) {
                let hears = |registration| rule.verdict(registration, document) == Verdict::Hears;
                assert!(!hears(&admitted.registration) || hears(&grant.may));
            }
        }
        Err(error) => check_line(&error.to_string()),
    }
}
