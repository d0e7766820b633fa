// Follow a stream with the npm package eventsource, which reconnects after the last event by itself.
//
//   npm install eventsource
//   node examples/stream.mjs 'http://127.0.0.1:8600/api/flow/stream?chips=sweeps&snapshot=0'
//
// Prints the data of each event, a line of JSON. In a browser EventSource is there already.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
const kinds = ["flow.snapshot", "flow.updated", "flow.retracted", "progress", "rules", "degraded", "reset"];
for (const kind of kinds) {
  source.addEventListener(kind, (event) => console.log(event.data));
}
source.addEventListener("error", (event) => {
  if (source.readyState === EventSource.CLOSED) {
    console.error(event.message ?? "refused");
    process.exit(1);
  }
});
