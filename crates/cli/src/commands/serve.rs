//! `helmholtz serve`.
//!
//! The server computes what the clients' `--device remote:HOST:PORT` asks for; models, data, seeds and run folders stay
//! with the clients. It is Burn's `burn-remote` over an unencrypted WebSocket: a token keeps strangers from using the
//! devices, but not from reading the numbers in transit.

use std::process::ExitCode;

use crate::args::ServeArgs;

/// Lends devices until Ctrl-C or SIGTERM.
///
/// # Errors
/// If a device is unknown or not available, the address cannot be listened on, or other machines can reach it and no
/// token is set.
#[cfg(feature = "remote")]
pub fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    use std::io::Write;
    use std::net::TcpListener;

    use burn::server::{
        AuthorizationRequest, PeerAuthorizer, RemoteServer, ServeError, TokenAuthorizer, WebSocketTransport,
    };

    use crate::console::say;
    use crate::device::{self, TOKEN};
    use crate::error::user;
    use crate::threads::use_threads;

    use_threads(args.threads)?;
    if args.device.contains("remote") {
        return Err(user(format!(
            "--device {}: a device that another machine lends cannot be lent on",
            args.device
        )));
    }
    let devices = device::select_all(&args.device)?;
    let listen = &args.listen;
    let listener = TcpListener::bind(listen).map_err(|error| {
        user(format!("--listen {listen}: {error}; give an address such as 127.0.0.1:3000"))
    })?;
    let address = listener.local_addr()?;
    let n_devices = devices.len();
    let authorizer = match device::token()? {
        Some(token) => Some(TokenAuthorizer::new(token)?),
        None if !address.ip().is_loopback() => {
            return Err(user(format!(
                "--listen {listen}: anyone who reaches this address could use the device; set {TOKEN} here and on the \
                 clients, or listen on 127.0.0.1"
            )));
        }
        None => None,
    };
    // Burn reports a refusal only to a log that is not shown.
    let server = RemoteServer::new(devices).with_authorizer(move |request: AuthorizationRequest<'_>| {
        let (client, index) = (request.client, request.device_index);
        let refused = match &authorizer {
            Some(authorizer) if authorizer.authorize(request).is_err() => {
                Some(format!("it does not know the token of {TOKEN}"))
            }
            _ => None,
        };
        // Burn refuses this itself, once the client is allowed to know how many devices there are.
        let no_such_device = || {
            let asked_too_much = index as usize >= n_devices;
            asked_too_much.then(|| format!("it asked for device {index} of {n_devices}, counted from 0"))
        };
        if let Some(reason) = refused.clone().or_else(no_such_device) {
            // A closed pipe must not end the server.
            let _ = writeln!(std::io::stderr(), "refused {client}: {reason}");
        }
        refused.map_or(Ok(()), Err)
    });
    say!("lending {} as --device remote:{address}; press Ctrl-C to stop", args.device);
    server.serve(WebSocketTransport::from_listener(listener)).map_err(|error| match error {
        ServeError::UnsupportedDevice { .. } | ServeError::MixedBackends => {
            user(format!("--device {}: {error}", args.device))
        }
        error => error.into(),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses, because this binary was built without the feature.
///
/// # Errors
/// Always.
#[cfg(not(feature = "remote"))]
pub fn run(_: &ServeArgs) -> anyhow::Result<ExitCode> {
    Err(crate::device::without("remote"))
}
