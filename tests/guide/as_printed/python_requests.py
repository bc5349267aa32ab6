# As the guide prints it: no start event, no look at the status, no time-out.
import os

import requests

url, token = os.environ["PROCESSMAKER_URL"], os.environ["PROCESSMAKER_TOKEN"]
response = requests.post(
    f"{url}/api/1.0/process_events/2",
    headers={"Authorization": f"Bearer {token}"},
    json={},
)
print(response.json())
