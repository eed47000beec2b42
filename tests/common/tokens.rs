//! Tokens as a site's own code signs them, right and wrong, and the files with what signs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Directory;

/// What the tests sign with.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The header of a good token.
pub const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// A file that only its owner may read.
pub fn secret_file(directory: &Directory, text: &str) -> PathBuf {
    let path = directory.file("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A good token for this registration.
pub fn token(reg: Value, seconds: i64) -> String {
    signed(
        HEADER,
        &json!({"reg": reg, "exp": end(seconds)}).to_string(),
        SECRET,
    )
}

/// So many seconds from now, as a claim has it.
pub fn end(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64 + seconds
}

/// Any header and claims, with HMAC-SHA-256 whatever they say.
pub fn signed(header: &str, claims: &str, secret: &str) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64url(mac.finalize().into_bytes()))
}

/// RFC 4648 §5, without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.as_ref().chunks(3) {
        let bits = chunk
            .iter()
            .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let letter = bits >> (18 - 6 * place) & 63;
            text.push(LETTERS[letter as usize].into());
        }
    }
    text
}
