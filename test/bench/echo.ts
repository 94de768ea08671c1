/**
 * What @grpc/grpc-js alone can do: a bare server that takes the very messages of a proposer, and answers at once. Prints its port.
 */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { ProposerServiceService } from '../../shared/wire/gen/synod/v1/proposer_service.ts';
import type {
  OpenSessionRequest,
  OpenSessionResponse,
  ProposeRequest,
  ProposeResponse,
  ProposeStreamRequest,
  ProposeStreamResponse,
} from '../../shared/wire/gen/synod/v1/proposer_service.ts';

const WINDOW = 1_024;
const ballot = { round: 1, proposer: 1, incarnation: Buffer.alloc(8, 1), kind: 2 } as const;
let slot = 0;

const { propose, proposeStream, openSession } = ProposerServiceService;
const server = new Server();
server.addService(
  { propose, proposeStream, openSession },
  {
    propose: (call: ServerUnaryCall<ProposeRequest, ProposeResponse>, callback: sendUnaryData<ProposeResponse>) => {
      const { log, client, session, sequence } = call.request;
      const payload = Buffer.alloc(0);
      callback(null, { log, slot: slot++, ballot, leader: 1, payload, own: true, client, session, sequence });
    },
    openSession: (
      call: ServerUnaryCall<OpenSessionRequest, OpenSessionResponse>,
      callback: sendUnaryData<OpenSessionResponse>,
    ) => {
      callback(null, { client: call.request.client, session: slot++, window: WINDOW });
    },
    proposeStream: (stream: ServerDuplexStream<ProposeStreamRequest, ProposeStreamResponse>) => {
      stream.on('data', (message: ProposeStreamRequest) => {
        const welcome =
          message.hello === undefined
            ? undefined
            : { client: message.hello.client, session: slot++, window: WINDOW, leader: 1 };
        const chosen = message.proposals.map(({ firstSequence, payloads }) => {
          const firstSlot = slot;
          slot += payloads.length;
          return { firstSequence, count: payloads.length, firstSlot, ballot, leader: 1 };
        });
        stream.write({ welcome, chosen, refused: [], progress: [] });
      });
      stream.on('end', () => {
        stream.end();
      });
      stream.on('error', () => {
        // The client is gone.
      });
    },
  },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.send?.({ port });
});
process.on('disconnect', () => process.exit());
