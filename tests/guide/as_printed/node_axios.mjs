// As the guide prints it: no start event, and the error is only printed. (The guide's require is import here.)
import axios from "axios";

const { PROCESSMAKER_URL: url, PROCESSMAKER_TOKEN: token } = process.env;
axios
  .post(`${url}/api/1.0/process_events/2`, {}, { headers: { Authorization: `Bearer ${token}` } })
  .then((response) => console.log(response.data))
  .catch((error) => console.error(`Error: ${error}`));
