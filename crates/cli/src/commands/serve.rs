//! `helmholtz serve`.
//!
//! The server computes what the clients' `--device remote:HOST:PORT` asks for; models, data, seeds and run folders stay
//! with the clients. It is Burn's `burn-remote` over WebSocket, which nobody encrypts: a token keeps strangers from the
//! devices, not from the numbers on their way.

use std::process::ExitCode;

use crate::args::ServeArgs;

/// Lends devices until Ctrl-C or SIGTERM.
///
/// # Errors
/// If a device is none, the address cannot be listened on, or it is open to other machines without a token.
#[cfg(feature = "remote")]
pub fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    use std::net::TcpListener;

    use burn::server::{RemoteServer, ServeError, TokenAuthorizer, WebSocketTransport};

    use super::use_threads;
    use crate::config::count;
    use crate::device::{self, TOKEN};
    use crate::error::{say, user};

    use_threads(args.threads.map(|n| count("--threads", n)).transpose()?)?;
    if args.device.contains("remote") {
        return Err(user(format!("--device {}: what another machine lends cannot be lent on", args.device)));
    }
    let devices = device::select_all(&args.device)?;
    let listen = &args.listen;
    let listener = TcpListener::bind(listen).map_err(|error| {
        user(format!("--listen {listen}: {error}; it takes an address such as 127.0.0.1:3000"))
    })?;
    let address = listener.local_addr()?;
    let mut server = RemoteServer::new(devices);
    match device::token()? {
        Some(token) => server = server.with_authorizer(TokenAuthorizer::new(token)?),
        None if !address.ip().is_loopback() => {
            return Err(user(format!(
                "--listen {listen}: whoever reaches this address could use the device; set {TOKEN} here and at the \
                 clients, or listen on 127.0.0.1"
            )));
        }
        None => {}
    }
    say!("lending {} as --device remote:{address}; Ctrl-C ends it", args.device);
    server.serve(WebSocketTransport::from_listener(listener)).map_err(|error| match error {
        ServeError::UnsupportedDevice { .. } | ServeError::MixedBackends => {
            user(format!("--device {}: {error}", args.device))
        }
        error => error.into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses: this binary cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "remote"))]
pub fn run(_: &ServeArgs) -> anyhow::Result<ExitCode> {
    Err(crate::device::without("remote"))
}
