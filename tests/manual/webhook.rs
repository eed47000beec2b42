//! The site's own code behind `--webhook`, in PHP's web server.

use std::fs;

use super::blocks::Block;
use super::world::{Web, World};
use crate::common::{Client, Server, eventually};

/// It is told what a client says, and passes it on to a function of the site's.
pub fn run(world: &World, block: &Block) -> Result<(), String> {
    let function = block.remark("webhook").unwrap();
    let site = world.directory().join("site");
    fs::create_dir_all(&site).unwrap();
    fs::write(site.join("push-events.php"), &block.text).unwrap();
    let code = format!(
        "<?php function {function}(...$all) {{ file_put_contents('said', json_encode($all)); }}"
    );
    let own = site.join("site.inc");
    fs::write(&own, code).unwrap();
    let prepend = format!("auto_prepend_file={}", own.display());
    let web = Web::start(&site, &["-d", &prepend]);
    let url = format!("http://127.0.0.1:{}/push-events.php", web.port);
    let server = Server::start(&["--webhook", &url]);
    let mut client = Client::connect(server.clients, "/?user=u7");
    // No registration, as it lacks what its URL registered.
    client.say(r#"{"chat":"hello"}"#);
    let said = eventually("the site's own code", || {
        let said = fs::read_to_string(site.join("said")).unwrap_or_default();
        (!said.is_empty()).then_some(said)
    });
    match &*said {
        r#"[1,{"chat":"hello"}]"# => Ok(()),
        _ => Err(format!("{function} was called with {said}")),
    }
}
