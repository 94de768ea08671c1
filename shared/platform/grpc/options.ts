/** The options of every channel and server, in one place; each differs from its default for a reason that is written here. */
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { ChannelOptions } from '@grpc/grpc-js';
import { LIMITS } from '../../base/limits.ts';

// grpc-js writes to standard error on its own; what it has to say reaches us as errors. GRPC_VERBOSITY brings its lines back.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE);

/** Who connects to a port: strangers are limited in ways that would only break the long streams between roles. */
export type Facing = 'clients' | 'roles';

export interface ServerTuning {
  /** Bytes of one request. Default `LIMITS.messageBytesMax`. */
  readonly messageBytesMax?: number;
  /** Concurrent streams that one connection may open. Default 1,024 (grpc-js: no limit). */
  readonly streamsPerConnectionMax?: number;
  /** Megabytes that one client connection may hold. Default 64 (grpc-js: no limit). Only where `facing` is `clients`. */
  readonly sessionMegabytesMax?: number;
  /** How long a client connection may live; clients reconnect and so spread anew. Default one hour. Only for `clients`. */
  readonly connectionAgeMsMax?: number;
}

/** Options of a server. */
export function serverOptions(facing: Facing, tuning: ServerTuning): ChannelOptions {
  const common: ChannelOptions = {
    'grpc.max_receive_message_length': tuning.messageBytesMax ?? LIMITS.messageBytesMax,
    'grpc.max_send_message_length': LIMITS.messageBytesMax,
    'grpc.max_concurrent_streams': tuning.streamsPerConnectionMax ?? 1_024,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.enable_channelz': 0,
  };
  if (facing === 'roles') return common;
  return {
    ...common,
    'grpc-node.max_session_memory': tuning.sessionMegabytesMax ?? 64,
    'grpc.max_connection_idle_ms': 300_000,
    'grpc.max_connection_age_ms': tuning.connectionAgeMsMax ?? 3_600_000,
    'grpc.max_connection_age_grace_ms': 10_000,
  };
}

export interface ChannelTuning {
  /** A TCP connection of its own instead of one shared with other channels to the same address. Default false. */
  readonly ownConnection?: boolean;
  /** Bytes the peer may send on one connection before it hears from us. Default 16 MiB, for bulk from far away. */
  readonly receiveWindowBytes?: number;
  /** Bytes of one message, either way. Default `LIMITS.messageBytesMax`. */
  readonly messageBytesMax?: number;
}

/** Options of a client channel. The defaults of grpc-js heal in minutes; these heal in about a second. */
export function channelOptions(tuning: ChannelTuning): ChannelOptions {
  return {
    // A peer that is stopped or cut off is noticed within two seconds, on idle connections too.
    'grpc.keepalive_time_ms': 1_000,
    'grpc.keepalive_timeout_ms': 1_000,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.dns_min_time_between_resolutions_ms': 1_000,
    'grpc.service_config_disable_resolution': 1,
    // A proxy named in the environment is for the web, not for the cluster.
    'grpc.enable_http_proxy': 0,
    // Whether a request may be sent twice is the business of the protocol (R12), not of the transport.
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': tuning.messageBytesMax ?? LIMITS.messageBytesMax,
    'grpc.max_send_message_length': tuning.messageBytesMax ?? LIMITS.messageBytesMax,
    'grpc.enable_channelz': 0,
    'grpc-node.flow_control_window': tuning.receiveWindowBytes ?? 16 * 1024 * 1024,
    ...(tuning.ownConnection === true ? { 'grpc.use_local_subchannel_pool': 1 } : {}),
  };
}
