import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { PYTHON } from './python.ts';

const SERVER = `
import grpc, sys
from concurrent import futures
def twice(request, context):
    context.set_trailing_metadata((('tide', 'high'),))
    return request + request
def count(request, context):
    for i in range(int(request)): yield str(i).encode()
handlers = {'Twice': grpc.unary_unary_rpc_method_handler(twice), 'Count': grpc.unary_stream_rpc_method_handler(count)}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('corp.Tides', handlers),))
server.add_insecure_port('127.0.0.1:' + sys.argv[1])
server.start()
server.wait_for_termination()
`;

const CLIENT = `
import grpc, sys
channel = grpc.insecure_channel('127.0.0.1:' + sys.argv[1])
answer, call = channel.unary_unary('/corp.Tides/Twice').with_call(b'noon ')
numbers = list(channel.unary_stream('/corp.Tides/Count')(b'1000'))
print(answer.decode(), dict(call.trailing_metadata())['tide'], len(numbers))
`;

/** gRPC by its own library, as a TCP resource. */
export const grpc: Application = {
  name: 'rpc',
  title: 'gRPC (grpcio)',
  authority: 'rpc.corp:50051',
  needs: { python: [PYTHON.grpcio] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    writeFileSync(join(folder, 'server.py'), SERVER);
    const program = startCommand(programs.python('python'), [join(folder, 'server.py'), String(port)]);
    await listening(port, program);
    return startedAt(`tcp://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'grpcio: a call with trailers, a stream of 1,000',
      through: 'forward',
      async use({ folder, tcpPort, programs }) {
        writeFileSync(join(folder, 'client.py'), CLIENT);
        const seen = await run(programs.python('python'), [join(folder, 'client.py'), String(tcpPort)]);
        expectSeen(seen.trim() === 'noon noon  high 1000', seen);
        return 'the answer, its trailer and 1,000 messages';
      },
    },
  ],
};
