//! What the clients of a soak are let in by: half of them register their user, the others have it in
//! their token.

use std::time::Duration;

use super::attacked::Attacked;
use super::follower::Follower;
use super::random::Random;

/// Tokens that are made before are good for so much longer than the soak.
const LONGER: Duration = Duration::from_secs(3600);
/// One of so many tokens that are changed ends soon.
const SHORT: u64 = 10;
/// After so long: its client is closed then, and comes back with one that is good for longer.
const SOON: Duration = Duration::from_secs(4);

/// See the module. A server that runs already is asked without tokens.
pub(super) struct Tokens<'a> {
    attacked: &'a Attacked,
    /// For whatever its client registers.
    open: Option<String>,
    /// For each user.
    users: Vec<Option<String>>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(attacked: &'a Attacked, time: Duration, users: u32) -> Result<Self, String> {
        let token = |registration: &str| attacked.token(time + LONGER, registration);
        let users = (0..users).map(|user| token(&format!("user={user}")));
        Ok(Tokens {
            attacked,
            open: token("")?,
            users: users.collect::<Result<_, _>>()?,
        })
    }

    /// The query of the one who hears everything.
    pub(super) fn witness(&self) -> String {
        with_token("role=witness", self.open.as_deref())
    }

    /// The query of a client that is this user.
    pub(super) fn query(&self, client: usize, user: u32) -> String {
        match self.of(client, user) {
            Some(token) => format!("token={token}"),
            None => with_token(&format!("user={user}"), self.open.as_deref()),
        }
    }

    fn of(&self, client: usize, user: u32) -> Option<&str> {
        let token = self.users.get(user as usize)?.as_deref()?;
        client.is_multiple_of(2).then_some(token)
    }

    /// The client becomes this user, by a token or by a frame.
    pub(super) fn change(
        &self,
        client: usize,
        user: u32,
        follower: &Follower,
        random: &mut Random,
    ) -> Result<(), String> {
        match self.of(client, user) {
            None => follower.register(&format!(r#"{{"user":{user}}}"#)),
            Some(token) if random.below(SHORT) > 0 => follower.show(token),
            Some(_) => {
                let token = self.attacked.token(SOON, &format!("user={user}"))?;
                follower.show(token.as_deref().unwrap_or_default());
            }
        }
        Ok(())
    }
}

fn with_token(query: &str, token: Option<&str>) -> String {
    match token {
        Some(token) => format!("{query}&token={token}"),
        None => query.to_owned(),
    }
}
