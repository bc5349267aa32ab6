import axios from "axios";

const { PROCESSMAKER_URL: url, PROCESSMAKER_TOKEN: token } = process.env;
const options = {
  params: { event: "node_1" },
  headers: { Authorization: `Bearer ${token}`, Accept: "application/json" },
  timeout: 30_000,
};
const { data } = await axios
  .post(`${url}/api/1.0/process_events/2`, { employee: "Ada", days: 3 }, options)
  .catch(({ message }) => {
    throw new Error(message); // axios's own error, when printed, shows the token
  });
console.log(data.id, data.status);
